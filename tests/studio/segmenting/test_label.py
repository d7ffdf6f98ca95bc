"""Masks of pictures that were sent: the same as from Python, and nothing kept."""

import base64
import io

import numpy as np
import pytest
import torch
from image_sets import picture, save
from PIL import Image
from served_studio import Served

import segmentation
from segmentation.checkpoints.pretrained import KIND
from segmentation.checkpoints.segmenter import ClassTable
from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.datasets.formats.shapes import CLASSES, ShapesDataset
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from segmentation.network.deeplab import build_model
from studio.segmenting.label import mask_png
from studio.web.requests import IMAGE_BYTES
from wavenet_app.core.checkpoint import write_checkpoint


@pytest.fixture(scope="module", autouse=True)
def net(data):
    """A DeepLab with random weights, as deeplab_v3_net.pth."""
    config = SegmentationConfig(
        name="net", model=SegmentationModelConfig(backbone="dilated", aspp_channels=8, num_classes=len(CLASSES))
    )
    model = build_model(config.model, torch.Generator().manual_seed(0))
    content = {
        "config": config.model_dump(mode="json"),
        **ClassTable.of_dataset(ShapesDataset("val", count=1)).to_plain(),
        "normalisation": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "weights": model.state_dict(),
    }
    path = data / "pretrained" / "deeplab_v3_net.pth"
    write_checkpoint(path, KIND, content)
    yield path
    path.unlink()


def shown(answer) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.json["mask"]))))


@pytest.mark.parametrize(
    ("query", "options"),
    [("", {}), ("&scales=0.5,1&flip=1", {"scales": (0.5, 1), "flip": True}), ("&stride=8", {"output_stride": 8})],
)
def test_a_mask_equals_that_from_python(studio: Served, net, tmp_path, query, options):
    path = tmp_path / "a.png"
    save(path, picture())
    answer = studio.post(f"/api/segment?client=a&name=a.png&model=deeplab_v3_net.pth{query}", path.read_bytes())
    assert answer.status == 200, answer.body
    expected = segmentation.load(net, **options).predict(path)
    np.testing.assert_array_equal(shown(answer), expected)
    shares = {one["name"]: one["share"] for one in answer.json["classes"]}
    names = segmentation.load(net).classes
    assert shares == {names[one]: pytest.approx((expected == one).mean()) for one in np.unique(expected)}
    assert list(studio.scratch.iterdir()) == []


def test_models_are_listed(studio: Served):
    assert studio.get("/api/segmenters").json == {"models": ["deeplab_v3_net.pth"]}


def test_black_classes_are_transparent():
    png = Image.open(io.BytesIO(mask_png(np.uint8([[0, 1, 2]]), np.uint8([[0, 0, 0], [0, 0, 9], [200, 10, 0]]))))
    assert np.asarray(png.convert("RGBA")).tolist() == [[[0, 0, 0, 0], [0, 0, 9, 255], [200, 10, 0, 255]]]


MISTAKES = [
    ("model=deeplab_v3_net.pth&name=a.png", b"no picture", 400, "cannot read the image a.png"),
    ("model=nothing&name=a.png", b"x", 400, "is called 'nothing'"),
    ("name=a.png", b"x", 400, "choose a model"),
    ("model=deeplab_v3_net.pth&scales=x", None, 400, "--scales takes numbers"),
    ("model=deeplab_v3_net.pth&stride=5", b"x", 400, "output stride"),
    ("model=deeplab_v3_net.pth&name=a.png", bytes(IMAGE_BYTES + 1), 413, "at most"),
]


@pytest.mark.parametrize(("query", "body", "status", "said"), MISTAKES)
def test_a_mistake_is_one_line_and_keeps_nothing(studio: Served, tmp_path, query, body, status, said):
    if body is None:
        save(tmp_path / "a.png", picture())
        body = (tmp_path / "a.png").read_bytes()
    answer = studio.post(f"/api/segment?client=a&{query}", body)
    assert answer.status == status
    assert said in answer.json["error"]
    assert str(studio.scratch) not in answer.json["error"]
    assert list(studio.scratch.iterdir()) == []


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(studio: Served):
    content = io.BytesIO()
    Image.new("1", (6_000, 5_000)).save(content, "PNG")
    answer = studio.post("/api/segment?client=a&name=big.png&model=deeplab_v3_net.pth", content.getvalue())
    assert answer.status == 400
    assert answer.json["error"].startswith("big.png has 30 million pixels")

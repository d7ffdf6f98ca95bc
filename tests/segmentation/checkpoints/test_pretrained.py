"""Trained DeepLabs: read as what they are, equal to their own framework's function, refused in one line otherwise."""

from __future__ import annotations

import json
import urllib.request
import zipfile
from argparse import Namespace
from pathlib import Path, PurePosixPath
from urllib.error import URLError

import numpy as np
import pytest
import torch
from reference_deeplab import TORCHVISIONS, both_heads, reference, torchvisions, with_random_statistics
from torch import nn
from torchvision import models as torchvision_backbones

from segmentation.checkpoints.names import find_pretrained, is_deeplab
from segmentation.checkpoints.pretrained import (
    KIND,
    Pretrained,
    load_pretrained,
    read_pretrained,
    start_weights,
    take_over,
)
from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.network.deeplab import build_model
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError


def saved(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("backbone", TORCHVISIONS)
def test_torchvisions_files_are_recognised_and_give_its_logits(backbone, tmp_path):
    theirs = torchvisions(backbone, num_classes=11)
    found = read_pretrained(saved(tmp_path / "deeplab_v3_coco.pth", theirs.state_dict()))
    assert found.layout == "torchvision"
    config = found.config()
    assert (config.architecture, config.backbone, config.num_classes) == ("deeplab_v3", backbone, 11)
    assert config.output_stride == (16 if backbone == "mobilenet_v3_large" else 8)
    assert config.auxiliary_head
    images = torch.randn(1, 3, 65, 83)
    with torch.no_grad():
        expected = theirs(images)
    for head, scores in both_heads(load_pretrained(found), images).items():
        assert (scores - expected[head]).abs().max() <= 1e-5 * expected[head].abs().max()


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize(
    ("backbone", "separable", "stride"),
    [("resnet50", False, 8), ("resnet50", True, 16), ("mobilenet_v2", False, 8), ("mobilenet_v2", False, 16)],
)
def test_the_other_layout_is_recognised_and_gives_the_same_logits(backbone, plus, separable, stride, tmp_path):
    theirs = reference(backbone, plus=plus, separable=separable, stride=stride, num_classes=19)
    content = {"model_state": theirs.state_dict(), "cur_itrs": 30_000, "best_score": np.float64(0.77)}
    found = read_pretrained(saved(tmp_path / "best.pth", content))
    assert found.layout == "DeepLabV3Plus-Pytorch"
    assert (found.shape["architecture"], found.shape["backbone"]) == (
        "deeplab_v3plus" if plus else "deeplab_v3",
        backbone,
    )
    assert (found.shape["num_classes"], found.shape["separable"]) == (19, separable)
    images = torch.randn(1, 3, 65, 83)
    with torch.no_grad():
        expected, scores = theirs(images), load_pretrained(found, stride)(images)["out"]
    assert (scores - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_an_unknown_output_stride_is_asked_for_in_one_line(tmp_path):
    found = read_pretrained(saved(tmp_path / "best.pth", reference().state_dict()))
    with pytest.raises(UserError, match=r"best\.pth.*output strides 8 and 16.*--set model\.output_stride=16") as error:
        load_pretrained(found)
    assert "\n" not in str(error.value)


def test_our_own_checkpoint_says_everything(tmp_path):
    config = SegmentationConfig(model=small_config(context=True, auxiliary_head=True, norm="group"))
    model = build_model(config.model).eval()
    path = tmp_path / "best.pth"
    write_checkpoint(
        path,
        KIND,
        {"config": config.model_dump(mode="json"), "weights": model.state_dict(), "classes": ["a", "b", "c"]},
    )
    found = read_pretrained(path)
    assert (found.layout, found.config()) == ("wavegen", config.model)
    assert found.content["classes"] == ["a", "b", "c"]
    images = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(load_pretrained(found)(images)["out"], model(images)["out"])


def test_our_own_bare_state_dict_is_recognised(tmp_path):
    model = build_model(small_config(context=True))
    wrapped = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    found = read_pretrained(saved(tmp_path / "bare.pth", {"state_dict": wrapped}))
    assert found.config(16) == model.config
    load_pretrained(found, 16)


def test_the_checkpoint_of_torchvisions_training_script_is_read(tmp_path):
    theirs = torchvisions("mobilenet_v3_large", num_classes=5)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    content = {
        "model": theirs.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.PolynomialLR(optimizer, 10).state_dict(),
        "epoch": 3,
        "args": Namespace(data_path="/coco", lr=0.1, aux_loss=True, device="cuda", weights=None),
    }
    found = read_pretrained(saved(tmp_path / "checkpoint.pth", content))
    images = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        expected = theirs(images)["out"]
        assert (load_pretrained(found)(images)["out"] - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "net.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.net."]
)
def test_the_prefixes_of_wrappers_are_taken_off(prefix, tmp_path):
    weights = build_model(small_config()).state_dict()
    wrapped = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    if "model." in prefix:
        wrapped["criterion.weight"] = torch.ones(3)  # what a Lightning module holds beside its model
    found = read_pretrained(saved(tmp_path / "wrapped.ckpt", {"state_dict": wrapped, "epoch": 1}))
    assert found.weights.keys() == weights.keys()
    load_pretrained(found, 16)


def test_compiled_parts_have_their_own_names(tmp_path):
    weights = build_model(small_config()).state_dict()
    compiled = {name.replace("backbone.", "backbone._orig_mod."): tensor for name, tensor in weights.items()}
    assert read_pretrained(saved(tmp_path / "compiled.pth", compiled)).weights.keys() == weights.keys()


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    kinds = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}
    header, numbers = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        content = tensor.contiguous().numpy().tobytes()
        places = [len(numbers), len(numbers) + len(content)]
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": places}
        numbers += content
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return path


@pytest.mark.parametrize("kind", [torch.float32, torch.float16], ids=str)
def test_safetensors_are_read(kind, tmp_path):
    weights = build_model(small_config()).state_dict()
    tensors = {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    data = DataFolder(tmp_path)
    write_safetensors(data.pretrained / "deeplab_v3plus_mine.safetensors", tensors)
    found = read_pretrained(find_pretrained("mine", data))
    assert is_deeplab("mine", data)
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in tensors.items())
    load_pretrained(found, 16)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_damaged_safetensors_are_named(length, tmp_path):
    whole = write_safetensors(tmp_path / "whole.safetensors", build_model(small_config()).state_dict()).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:length])
    with pytest.raises(UserError, match=r"cut\.safetensors cannot be read, it is damaged or cut short"):
        read_pretrained(tmp_path / "cut.safetensors")
    with pytest.raises(UserError, match=r"there is no checkpoint .*absent"):
        read_pretrained(tmp_path / "absent.safetensors")


def test_numpy_1s_numbers_are_read_too(tmp_path):
    path = saved(tmp_path / "new.pth", {"model": build_model(small_config()).state_dict(), "best": np.float64(1)})
    old = tmp_path / "old.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            target.writestr(name, content)
    assert read_pretrained(old).shape["num_classes"] == 3


@pytest.mark.parametrize("architecture", ["deeplab_v3", "deeplab_v3plus"])
def test_another_class_count_keeps_the_body_and_says_so(architecture):
    source = build_model(small_config(architecture=architecture, auxiliary_head=True, num_classes=21))
    model = build_model(small_config(architecture=architecture, auxiliary_head=True, num_classes=5))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lines = take_over(model, of(source))
    assert "the head is new in its last layer: the file has 21 classes, the model 5" in lines
    assert "the auxiliary head is new in its last layer: the file has 21 classes, the model 5" in lines
    given = source.state_dict()
    for name, tensor in model.state_dict().items():
        kept = tensor.shape == given[name].shape
        assert torch.equal(tensor, given[name] if kept else before[name]), name


def test_equal_classes_take_everything():
    source = with_random_statistics(build_model(small_config(auxiliary_head=True, context=True)))
    model = build_model(small_config(auxiliary_head=True, context=True))
    assert len(take_over(model, of(source))) == 1
    for name, tensor in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_another_head_is_new_as_a_whole_with_a_note():
    source = with_random_statistics(build_model(small_config(architecture="deeplab_v3", auxiliary_head=True)))
    model = build_model(small_config(architecture="deeplab_v3plus", context=True, output_stride=8))
    lines = take_over(model, of(source))
    assert lines[1:] == [
        "the head is new: the file has none that fits; to load it: --set model.architecture=deeplab_v3",
        "the auxiliary head of the file is ignored: the model has none",
        "the context module is new: the file has none that fits",
        "trained at output stride 16, it continues at 8",
    ]
    for name, tensor in source.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor), name


def test_other_rates_and_an_unknown_stride_are_said():
    source = build_model(small_config(output_stride=16, atrous_rates=(12, 24, 36)))
    lines = take_over(build_model(small_config()), of(source))
    assert lines[1:] == [
        "trained with the rates [12, 24, 36], it continues with [6, 12, 18]; to keep them: "
        "--set model.atrous_rates=[12,24,36]"
    ]
    found = of(source)
    del found.shape["output_stride"]
    lines = take_over(build_model(small_config()), found)
    assert lines[1:] == [
        "no tensor determines the output stride of its training; it continues at 16 "
        "(for the other: --set model.output_stride=8)"
    ]


def test_frozen_norms_take_over_the_statistics():
    source = with_random_statistics(build_model(small_config()))
    model = build_model(small_config(norm="frozen")).eval()
    take_over(model, of(source))
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images)["out"], source.eval()(images)["out"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "mobilenet_v3_large"}, r"holds the backbone dilated.*--set model\.backbone=dilated"),
        ({"norm": "group"}, r"norm 'batch'.*--set model\.norm=batch"),
    ],
)
def test_another_backbone_or_norm_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        take_over(build_model(small_config(**changes)), of(build_model(small_config())))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        (
            {"fc.weight": torch.zeros(1)},
            "its backbone is none of resnet101, resnet50, mobilenet_v3_large, mobilenet_v2, dilated",
        ),
        ({"backbone.stage4.0.0.branches.weight": torch.zeros(1)}, "its backbone is HRNet"),
        ({"backbone.layer3.5.conv3.weight": torch.zeros(1)}, "its head is no DeepLab's"),
        (
            {"backbone.layer3.5.conv3.weight": torch.zeros(1), "classifier.0.convs.0.0.weight": torch.zeros(1)},
            r"cut short: classifier\.4\.weight",
        ),
        ({"model": {}, "folder": PurePosixPath("a")}, "it holds pathlib.* could run code; save the model's state_dict"),
        ({"aspp.aspp1.atrous_conv.weight": torch.zeros(1)}, "a file of jfzhang95's pytorch-deeplab-xception"),
        ({"state_dict": {"decode_head.conv_seg.weight": torch.zeros(1)}}, "a file of MMSegmentation"),
        ({"model.segmentation_head.0.weight": torch.zeros(1)}, "a file of segmentation_models_pytorch"),
        ({"format": "wavegen-wavenet", "version": 1}, "is not a wavegen segmentation checkpoint"),
    ],
)
def test_what_is_no_deeplab_is_refused_in_one_line(content, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        read_pretrained(saved(tmp_path / "strange.pth", content))
    assert "strange.pth" in str(error.value)
    assert "\n" not in str(error.value)


def test_tensors_that_do_not_fit_each_other_are_refused(tmp_path):
    weights = build_model(small_config()).state_dict()
    weights["backbone.stem.0.weight"] = torch.zeros(7, 3, 3, 3)
    found = read_pretrained(saved(tmp_path / "odd.pth", weights))
    with pytest.raises(UserError, match=r"odd\.pth.*backbone\.stem\.0\.weight"):
        load_pretrained(found, 16)
    with pytest.raises(UserError, match=r"odd\.pth.*do not fit"):
        take_over(build_model(small_config()), found)


def test_absent_and_damaged_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no checkpoint .*absent\.pth"):
        read_pretrained(tmp_path / "absent.pth")
    whole = saved(tmp_path / "whole.pth", build_model(small_config()).state_dict()).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.pth cannot be read"):
        read_pretrained(tmp_path / "cut.pth")


def test_files_are_found_by_path_and_by_name(tmp_path):
    data = DataFolder(tmp_path)
    with pytest.raises(UserError, match=r"'voc'.*there are no deeplab_\*\.pth in"):
        find_pretrained("voc", data)
    path = saved(data.pretrained / "deeplab_v3plus_voc.pth", {})
    for name in ("voc", "deeplab_v3plus_voc", "deeplab_v3plus_voc.pth", str(path)):
        assert find_pretrained(name, data) == path
    with pytest.raises(UserError, match=r"'ade'.*there are: deeplab_v3plus_voc"):
        find_pretrained("ade", data)


@pytest.mark.parametrize("other", ["deeplab_v3_vain50.pth", "deeplab_v3plus_vain50.safetensors"])
def test_a_short_name_that_fits_two_files_is_asked_about(other, wavegen, tmp_path):
    data = DataFolder(tmp_path / "data")
    files = [data.pretrained / name for name in ("deeplab_v3plus_vain50.pth", other)]
    for path in files:
        saved(path, {})
    for arguments in (
        ("seg-predict", "vain50", "image.png"),
        ("info", "vain50"),
        ("receptive-field", "vain50"),
        ("seg-train", "--set=training.start_from=vain50"),
    ):
        code, out, err = wavegen(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), arguments
        assert all(path.name in err for path in files), arguments
    for path in files:
        assert find_pretrained(path.name, data) == path


@pytest.fixture
def no_network(monkeypatch, tmp_path) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refused)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_without_imagenet_weights_auto_says_why_and_imagenet_is_an_error(no_network, tmp_path):
    model = build_model(SegmentationModelConfig(backbone="resnet50", aspp_channels=8))
    data = DataFolder(tmp_path)
    from_scratch, (line,) = start_weights(model, "auto", data)
    assert from_scratch
    assert line.startswith("the model starts from random weights: ")
    assert "resnet50-0676ba61.pth" in line
    assert "no route to host" in line
    assert "\n" not in line
    with pytest.raises(UserError, match=r"could not be downloaded \(no route to host\).*put it into .*pretrained"):
        start_weights(model, "imagenet", data)


@pytest.mark.parametrize(
    ("backbone", "file_name"),
    [
        ("resnet50", "resnet50-0676ba61.pth"),
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
        ("mobilenet_v3_large", "mobilenet_v3_large-8738ca79.pth"),
    ],
)
@pytest.mark.parametrize("folder", ["pretrained", "torch/hub/checkpoints"])
@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_imagenet_weights_at_hand_are_taken(no_network, backbone, file_name, folder, norm, tmp_path):
    theirs = with_random_statistics(getattr(torchvision_backbones, backbone)(weights=None))
    saved(tmp_path / folder / file_name, theirs.state_dict())
    model = build_model(SegmentationModelConfig(backbone=backbone, aspp_channels=8, norm=norm))
    assert start_weights(model, "auto", DataFolder(tmp_path)) == (
        False,
        [f"the backbone starts from the ImageNet weights of {backbone}"],
    )
    body = theirs.state_dict()
    for name, tensor in model.backbone.state_dict().items():
        source = f"features.{name}" if backbone.startswith("mobilenet") else name
        assert torch.equal(tensor, body[source]), name


def test_what_has_no_imagenet_weights_is_said(tmp_path):
    data = DataFolder(tmp_path)
    with pytest.raises(UserError, match="'dilated' has no ImageNet weights"):
        start_weights(build_model(small_config()), "imagenet", data)
    grouped = build_model(small_config(backbone="mobilenet_v3_large", norm="group"))
    with pytest.raises(UserError, match="batch norm"):
        start_weights(grouped, "imagenet", data)
    assert start_weights(grouped, "none", data) == (True, ["the model starts from random weights"])


def test_training_can_start_from_a_file_by_name(tmp_path):
    source = with_random_statistics(build_model(small_config()))
    saved(tmp_path / "pretrained" / "deeplab_v3plus_mine.pth", source.state_dict())
    model = build_model(small_config(num_classes=4))
    from_scratch, lines = start_weights(model, "mine", DataFolder(tmp_path))
    assert not from_scratch
    assert lines[0].startswith("deeplab_v3plus_mine.pth: deeplab_v3plus of dilated")
    assert torch.equal(model.backbone.state_dict()["stem.0.weight"], source.backbone.state_dict()["stem.0.weight"])


def small_config(**changes) -> SegmentationModelConfig:
    return SegmentationModelConfig(**{"backbone": "dilated", "num_classes": 3, "aspp_channels": 16, **changes})


def of(model: nn.Module) -> Pretrained:
    shape = model.config.model_dump()
    return Pretrained(Path("source.pth"), "wavegen", shape, model.state_dict())

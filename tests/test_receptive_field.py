"""`wavegen receptive-field` from the command line: presets and checkpoints of both packages, and bad input."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from image_sets import stripes, write_custom
from random_checkpoint import write_random_checkpoint
from random_nets import random_net

import segmentation.receptive_field
from segmentation.checkpoints.pretrained import KIND
from segmentation.config import PRESETS as IMAGE_PRESETS
from segmentation.config import SegmentationConfig, SegmentationDataConfig, SegmentationModelConfig
from segmentation.network.deeplab import build_model
from wavenet_app.config import PRESETS as AUDIO_PRESETS
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.receptive_field.pictures import field_figure, write_field_picture
from wavenet_app.core.receptive_field.report import FieldReport
from wavenet_app.receptive_field import measure, newest_logits, untrained

PNG = b"\x89PNG\r\n\x1a\n"
NARROW = ModelConfig(residual_channels=4, dilation_channels=4, skip_channels=8, dilations=(1, 2, 4))


@pytest.fixture
def receptive_field(wavegen):
    """Runs `wavegen receptive-field` in an empty folder."""
    return partial(wavegen, "receptive-field")


def test_a_wavenet_with_gaps_between_its_taps(receptive_field, tmp_path):
    # positions of the front 0 and 4 samples back, each of two codes: 6 codes in all, and 2 of 5 positions touched
    write_random_checkpoint(tmp_path / "holes.pth", NARROW.model_copy(update={"dilations": (4,)}), sample_rate=8_000)
    code, out, err = receptive_field("holes.pth", "--json", "--count", 3)
    assert code == 0, err
    facts = json.loads(out)
    assert facts["field"] == [6]
    assert facts["touched_share"] == pytest.approx(2 / 5)
    assert set(facts["radii"]) == {"untrained", "trained"}
    assert {radius for net in facts["radii"].values() for radius in net.values()} <= {0.0, 4.0}
    picture = Path(facts["picture"])
    assert picture == Path("data/receptive_field_viz/holes.png")
    assert picture.read_bytes().startswith(PNG)


def test_the_table_shows_samples_and_milliseconds(receptive_field, tmp_path, tone_folder):
    write_random_checkpoint(tmp_path / "data" / "checkpoints" / "mine" / "best.pth", NARROW, sample_rate=8_000)
    code, out, err = receptive_field("mine", "--inputs", tone_folder)
    assert code == 0, err
    assert "9 samples, 1.1 ms" in out
    assert "100.0%" in out
    assert "16 stretches of tones" in out
    assert "trained" in out


def test_a_preset_has_no_trained_result(receptive_field):
    code, out, err = receptive_field("tiny", "--json", "--count", 1)
    assert code == 0, err
    facts = json.loads(out)
    assert facts["field"] == [513]
    assert list(facts["radii"]) == ["untrained"]
    assert facts["radii"]["untrained"]["95%"] < 512


def test_a_preset_name_of_both_packages_means_the_wavenet(receptive_field):
    code, out, err = receptive_field("small", "--json", "--count", 1)
    assert code == 0, err
    assert json.loads(out)["unit"] == "samples"


def test_the_same_seed_gives_the_same_figures(receptive_field):
    outputs = [receptive_field("tiny", "--json", "--count", 2, "--seed", seed)[1] for seed in (1, 1, 2)]
    assert outputs[0] == outputs[1] != outputs[2]


def test_a_trained_deeplab_is_compared_with_an_untrained_one(receptive_field, tmp_path):
    config = SegmentationConfig(
        model=SegmentationModelConfig(
            backbone="mobilenet_v3_large", architecture="deeplab_v3", aspp_channels=8, num_classes=3
        ),
        data=SegmentationDataConfig(image_scale=0.5),
    )
    weights = build_model(config.model, torch.Generator().manual_seed(0)).state_dict()
    path = tmp_path / "data" / "checkpoints" / "segmentation" / "streets" / "best.pth"
    write_checkpoint(path, KIND, {"config": config.model_dump(mode="json"), "weights": weights})
    write_custom(
        tmp_path / "set", {f"{split}/a.png": stripes([0, 1, 2], 60, 60) for split in ("train", "val")}, "a\nb\nc"
    )
    code, out, err = receptive_field("streets", "--size", 97, "--count", 1, "--json", "--inputs", "set")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["inputs"] == "1 image of set at 0.5 of their size"
    # by hand, the reach of the layers at each stride: 3x3s and 5x5s of the backbone, the widest rate and the last 3x3
    # of the head, and two of the features for a pixel
    by_stride = {1: 2, 2: 2 + 2, 4: 2 + 4, 8: 4 + 4 + 2, 16: 3 * 2 + 2 * 2 + 3 * 2 * 4 + 2 * 18 + 2 + 1}
    assert facts["field"] == [1 + sum(stride * reach for stride, reach in by_stride.items())] * 2 == [1283, 1283]
    assert facts["is_cut"]
    assert facts["sees_everything"] == ["AdaptiveAvgPool2d"]
    assert set(facts["radii"]) == {"untrained", "trained"}
    assert Path("data/receptive_field_viz/streets.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), "is called 'nobody'; there is none yet; presets are"),
        (("tiny", "--size", 129), "--size 129 is for DeepLabs, but 'tiny' is a WaveNet"),
        (("tiny", "--output-stride", 8), "--output-stride 8 is for DeepLabs"),
        (("mobilenet", "--output-stride", 7), "output_stride"),
        (("tiny", "--inputs", "nowhere"), "there is no file or folder 'nowhere'"),
        (("mobilenet", "--inputs", "nowhere"), "there is no data set 'nowhere'"),
        (("broken.pth",), "broken.pth"),
        (("tiny", "--inputs", "silent"), "silent holds no audio to average over"),
    ],
)
def test_bad_input_gets_one_line(receptive_field, tmp_path, arguments, message):
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    (tmp_path / "silent").mkdir()
    code, out, err = receptive_field(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_plain_blocks_give_the_logits_of_the_model(kernel_size):
    config = NARROW.model_copy(update={"kernel_size": kernel_size})
    model = random_net(config, 0)
    codes = torch.randint(256, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = newest_logits(model, model.front(codes).transpose(1, 2))
        assert torch.allclose(found, model(codes)[:, -1], atol=1e-5)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_whole_theoretical_field_of_a_wavenet_is_touched(kernel_size):
    config = RunConfig(model=NARROW.model_copy(update={"kernel_size": kernel_size}))
    generator = torch.Generator().manual_seed(0)
    clips = [np.full(config.model.receptive_field, 128)]
    report = measure("net", config, {"untrained": untrained(config, generator)}, clips, "one clip", generator)
    assert report.field == (config.model.receptive_field,)
    assert report.reach == ((config.model.receptive_field - kernel_size, 0),)
    assert report.touched_share == 1.0
    assert np.array_equal(report.energies["untrained"] > 0, report.touched)


def two_dimensional(**changes) -> FieldReport:
    touched = np.zeros((31, 31), dtype=bool)
    touched[9:22:2, 9:22:2] = True
    energy = np.where(touched, 1.0, 0.0)
    values = {
        "name": "net",
        "unit": "pixels",
        "field": (13, 13),
        "reach": ((6, 6), (6, 6)),
        "sees_everything": (),
        "place": (15, 15),
        "touched": touched,
        "energies": {"untrained": energy, "trained": energy**2},
        "inputs": "nothing",
    }
    return FieldReport(**{**values, **changes})


def test_the_share_refers_to_the_field_not_to_the_map():
    report = two_dimensional()
    assert report.touched_share == pytest.approx(49 / 169)
    assert not report.is_cut
    cut = two_dimensional(reach=((20, 20), (6, 6)), field=(41, 13))
    assert cut.is_cut
    assert cut.touched_share == pytest.approx(49 / (31 * 13))


def test_the_picture_shows_the_map_and_the_nets_side_by_side(tmp_path):
    figure = field_figure(two_dimensional())
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert titles[0] == "touched at all"
    assert titles[1].startswith("untrained")
    assert titles[2].startswith("trained")
    assert np.array_equal(figure.subfigs[0].axes[0].images[0].get_array(), two_dimensional().touched)


def test_a_net_without_gradient_is_drawn_and_reported(tmp_path):
    report = two_dimensional(energies={"trained": np.zeros((31, 31))})
    assert report.radii == {"trained": (None, None)}
    assert report.to_dict()["radii"]["trained"] == {"50%": None, "95%": None}
    write_field_picture(tmp_path / "flat.png", report)
    assert (tmp_path / "flat.png").read_bytes().startswith(PNG)


@pytest.mark.shared_data
def test_real_recordings_and_images_can_be_inputs(receptive_field, shared_audio, shared_images):
    code, out, err = receptive_field("tiny", "--inputs", shared_audio / "speech", "--count", 2, "--json")
    assert code == 0, err
    assert json.loads(out)["inputs"] == "2 stretches of speech"
    code, out, err = receptive_field(
        "mobilenet", "--inputs", shared_images / "custom" / "camvid", "--count", 2, "--size", 129
    )
    assert code == 0, err
    assert "2 images of camvid" in out


def test_a_preset_of_both_packages_means_the_wavenet():
    assert set(segmentation.receptive_field._IMAGE_PRESETS) == set(IMAGE_PRESETS) - set(AUDIO_PRESETS)

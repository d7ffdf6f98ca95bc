"""A plain value where settings have a section is named as such, whichever other options are given."""

import pytest

from segmentation.training.options import SegmentationOptions
from segmentation.training.options import check_early as check_images_early
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.training.options import RunOptions, check_early

AUDIO_OPTIONS = {
    "training": [{}, {"minutes": 1.0}, {"max_steps": 3, "seed": 1}, {"start_from": "x"}],
    "model": [{}, {"condition": "mel"}, {"head": "gaussian"}],
    "corpus": [{}, {"paths": ("x",)}, {"speakers": "folder"}],
    "audio": [{}, {"sample_rate": 8_000}],
}


def options_of(kind, tmp_path, way: str, section: str, value: str, others: dict):
    if way == "--set":
        return kind(assignments=(f"{section}={value}",), logger="none", **others)
    path = tmp_path / "x.toml"
    path.write_text(f"{section} = {value}\n")
    return kind(config_file=path, logger="none", **others)


@pytest.mark.parametrize("way", ["--set", "--config"])
@pytest.mark.parametrize("value", ["5", '"text"', "[1, 2]", "true"])
@pytest.mark.parametrize(
    ("section", "others"), [(section, others) for section, kinds in AUDIO_OPTIONS.items() for others in kinds]
)
def test_of_a_wavenet(tmp_path, way, value, section, others):
    options = options_of(RunOptions, tmp_path, way, section, value, others)
    starts = "start_from" in others and way == "--config"  # settings are checked once that model is read
    said = "is called 'x'" if starts else f"^{section} = .*: this is a section"
    with pytest.raises(UserError, match=said):
        check_early(options, DataFolder(tmp_path))


@pytest.mark.parametrize("way", ["--set", "--config"])
@pytest.mark.parametrize(
    ("section", "others"),
    [("training", {"minutes": 1.0}), ("training", {}), ("data", {"dataset": "x"}), ("model", {"seed": 1})],
)
def test_of_a_deeplab(tmp_path, way, section, others):
    options = options_of(SegmentationOptions, tmp_path, way, section, "5", others)
    with pytest.raises(UserError, match=f"^{section} = 5: this is a section"):
        check_images_early(options, DataFolder(tmp_path))

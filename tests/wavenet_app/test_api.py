"""`wavenet_app.train` from Python makes the run of the command line."""

import json

import pytest
import torch
from tiny_run import TINY

import wavenet_app
from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError

SETTINGS = tuple(option.removeprefix("--set=") for option in TINY)


def test_the_run_is_the_one_that_the_command_makes(tone_folder, wavegen, tmp_path):
    shared = {"max_steps": 3, "logger": "none", "data_dir": tmp_path / "data", "settings": SETTINGS, "quiet": True}
    run = wavenet_app.train(tone_folder, preset="tiny", name="a", seed=2, **shared)
    command = ["--preset", "tiny", "--name", "b", "--seed", 2, "--max-steps", 3, "--logger", "none", *TINY]
    assert wavegen("train", tone_folder, *command, "--data-dir", tmp_path / "data").code == 0
    assert run.checkpoint == tmp_path / "data" / "checkpoints" / "a" / "best.pth"
    one, other = (read_checkpoint(run.checkpoint.parents[1] / name / "best.pth", "wavenet") for name in "ab")
    assert all(torch.equal(one["weights"][key], other["weights"][key]) for key in one["weights"])
    assert run.validation == one["validation"] == other["validation"]


def test_a_run_records_the_software_that_made_it(tone_folder, tmp_path, wavegen):
    run = wavenet_app.train(
        [tone_folder], name="a", max_steps=1, logger="none", data_dir=tmp_path, settings=SETTINGS, quiet=True
    )
    expected = {"wavegen": wavenet_app.__version__, "torch": torch.__version__.partition("+")[0]}
    recorded = json.loads((run.checkpoint.parent / "config.json").read_text())["software"]
    shown = json.loads(wavegen("info", run.checkpoint, "--json").out)["software"]
    for software in (recorded, shown, read_checkpoint(run.checkpoint, "wavenet")["software"]):
        assert expected.items() <= software.items()


def test_bad_input_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        wavenet_app.train("nowhere", data_dir=tmp_path, quiet=True)


@pytest.mark.parametrize(
    "wrong", [{"minutes": -1}, {"minutes": "two"}, {"max_steps": 0}, {"sample_rate": 1.5}, {"seed": "x"}]
)
def test_numbers_that_make_no_sense_are_errors_that_name_the_argument(tmp_path, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        wavenet_app.train(data_dir=tmp_path, quiet=True, **wrong)

"""The place that a launcher gives a process is read from the environment, and contradictions are one line."""

import pytest
from in_process import exit_code

from wavenet_app.core.errors import UserError
from wavenet_app.core.launch import Launch, found_launch

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
SLURM = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}


def test_the_launchers_are_known():
    assert found_launch(TORCHRUN) == Launch(3, 1, 4, "torchrun")
    assert found_launch({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "2"}) == Launch(3, 1, 4, "torchrun", 2)
    assert found_launch(SLURM) == Launch(3, 1, 4, "slurm")
    assert found_launch({**TORCHRUN, "GROUP_WORLD_SIZE": "2"}).nodes == 2
    assert found_launch({**SLURM, "SLURM_STEP_NUM_NODES": "3"}).nodes == 3
    assert found_launch({**SLURM, **TORCHRUN, "RANK": "2"}) == Launch(2, 1, 4, "torchrun")  # torchrun within a job


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "0"},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"},  # a batch script before srun
        {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"},
    ],
)
def test_a_process_on_its_own_has_no_place(environment):
    assert found_launch(environment) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"RANK": "4"},
        {"RANK": "-1"},
        {"RANK": ""},
        {"WORLD_SIZE": "0"},
        {"WORLD_SIZE": "two"},
        {"WORLD_SIZE": "9" * 5_000},
        {"LOCAL_RANK": "4"},
        {"LOCAL_RANK": "x"},
    ],
)
def test_a_place_that_cannot_be_is_one_line(changed):
    with pytest.raises(UserError, match=r"torchrun g(ave this|ives each) process") as error:
        found_launch({**TORCHRUN, **changed})
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 6_000


@pytest.mark.parametrize("command", ["train", "seg-train"])
@pytest.mark.parametrize("rank", ["0", "1"])
def test_every_process_refuses_another_number_of_machines_at_once(monkeypatch, capsys, tmp_path, command, rank):
    step = {**SLURM, "SLURM_PROCID": rank, "SLURM_LOCALID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": "2"}
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert exit_code(monkeypatch, command, "shapes", "--nodes", 3, "--data-dir", tmp_path) == 2
    assert "--nodes is 3, but slurm started processes on 2 machines" in " ".join(capsys.readouterr().err.split())

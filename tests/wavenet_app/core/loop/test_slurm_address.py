"""Where the tasks of a SLURM step meet: the environments are those of real `srun` commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.slurm_address import slurm_address

STEP = {
    "SLURM_JOB_ID": "3",
    "SLURM_JOB_NODELIST": "n[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[1-2]",
}


def test_tasks_started_without_tasks_per_node_meet_too():
    assert slurm_address(STEP) == "tcp://n1:15093"


def test_a_step_meets_on_its_own_first_node():
    assert slurm_address({**STEP, "SLURM_STEP_NODELIST": "n2"}).startswith("tcp://n2:")


@given(st.integers(1, 2**31), st.integers(0, 30), st.integers(0, 30))
def test_steps_of_a_job_have_ports_of_their_own(job, one, other):
    ports = [
        int(slurm_address({**STEP, "SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)}).rpartition(":")[2])
        for step in (one, other)
    ]
    assert (ports[0] == ports[1]) == (one == other)
    assert all(15_000 <= port < 25_000 for port in ports)


def test_an_address_of_the_users_own_wins():
    assert slurm_address({**STEP, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}) == "tcp://10.0.0.1:1234"


@pytest.mark.parametrize("port", ["0", "x", "65536", "-1"])
def test_a_wrong_port_is_named(port):
    with pytest.raises(UserError, match=f"MASTER_PORT is '{port}'"):
        slurm_address({**STEP, "MASTER_PORT": port})

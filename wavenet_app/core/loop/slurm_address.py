"""Where the tasks of a SLURM step meet."""

from __future__ import annotations

from collections.abc import Mapping

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import whole_number

_FIRST_PORT, _PORTS = 15_000, 10_000  # below those that the system gives away
_MOST = 2**53


def slurm_address(environment: Mapping[str, str]) -> str:
    """Returns where rank 0 of a SLURM step listens, as a URL of torch.distributed.

    That is the first node of the step, which is not always the first of the job, and a port that follows from the
    numbers of job and step, so that steps on one node have different ones. MASTER_ADDR and MASTER_PORT override them.

    Raises:
        UserError: MASTER_PORT is no port.

    >>> slurm_address({"SLURM_STEP_NODELIST": "gpu[03-04],old1", "SLURM_JOB_ID": "5", "SLURM_STEP_ID": "1"})
    'tcp://gpu03:15156'
    """
    from lightning.fabric.plugins.environments import SLURMEnvironment

    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST") or "127.0.0.1"
    address = environment.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
    job, step = (whole_number(environment.get(name, ""), _MOST) or 0 for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = _FIRST_PORT + (31 * job + step) % _PORTS
    if environment.get("MASTER_PORT"):
        chosen = whole_number(environment["MASTER_PORT"], 2**16 - 1)
        if not chosen:
            raise UserError(f"MASTER_PORT is {environment['MASTER_PORT']!r}, not a port from 1 to 65535")
        port = chosen
    return f"tcp://{address}:{port}"

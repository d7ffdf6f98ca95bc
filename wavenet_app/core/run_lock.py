"""One training at a time in the folder of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wavenet_app.core.errors import UserError
from wavenet_app.core.files import sweep_parts

LOCK = "training.lock"


@contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Holds a run's folder, which is made, for this process; the system lets it go when the process ends, however.

    So the file that a killed process leaves is no obstacle. File systems without locks are not guarded.

    Args:
        run_dir: folder of the run.

    Raises:
        UserError: another process trains the run, whose number is in the message, or nothing can be written there.
    """
    path = run_dir / LOCK
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        descriptor = locked(path)
    except BlockingIOError:
        raise UserError(
            f"the run '{run_dir.name}' is being trained by {holder(path)}; wait until it ends, or train under another "
            "--name"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write in {run_dir}: {error.strerror}; choose another folder") from None
    try:
        sweep_parts(run_dir)  # nobody else writes here
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is let go, so that nobody else's is removed
        os.close(descriptor)


def refuse_locked(run_dir: Path) -> None:
    """Raises a UserError if another process trains the run in a folder."""
    if run_dir.exists():
        with run_lock(run_dir):
            pass


def locked(path: Path) -> int:
    """Returns the descriptor of a lock file that this process now holds, until it closes it.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be made.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return os.open(path, os.O_RDWR | os.O_CREAT)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                os.truncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except FileNotFoundError:
            pass
        except OSError:  # a file system without locks
            return descriptor
        os.close(descriptor)  # the one who held it has removed it meanwhile


def holder(path: Path) -> str:
    """Returns which process holds a lock file, in words."""
    try:
        number = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        number = ""
    return f"process {number}" if number.isdigit() else "another process"

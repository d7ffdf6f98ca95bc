"""The folder in which compiled code is kept, named after the text that it comes from."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def code_folder(name: str, sources: Sequence[Path], wanted: str) -> Path | None:
    """Returns the first folder of these that can be written to, which it makes; None if there is none.

    `wanted`; the __pycache__ beside the first source; wavegen's folder in the user's cache. Making it removes the
    folders of earlier texts beside it.

    Args:
        name: what is compiled, in one word.
        sources: the files that are compiled together.
        wanted: the folder for compiled code that the user set, or "".

    Raises:
        ValueError: there is no source, or one does not exist: the folder's name would say too little.
    """
    missing = [str(source) for source in sources if not source.is_file()]
    if missing or not sources:
        raise ValueError(
            f"compiled code of {name!r} lists {', '.join(missing) or 'no source file'}, which is not there"
        )
    text = b"".join(source.read_bytes() for source in sources)
    prefix = f"compiled-{name}-"
    folder_name = prefix + hashlib.sha256(text).hexdigest()[:16]
    bases = [Path(wanted)] if wanted else []
    bases.append(sources[0].parent / "__pycache__")
    with suppress(RuntimeError):  # no home
        bases.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavegen")
    for base in bases:
        with suppress(OSError):
            folder = base / folder_name
            is_new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            if is_new:
                for other in base.glob(f"{prefix}*"):
                    if other != folder:
                        shutil.rmtree(other, ignore_errors=True)
            return folder
    return None

"""A WaveNet as one safetensors file to share: bfloat16 weights, and all else as JSON in its metadata.

A digest over everything is stored beside them, so a flipped bit is noticed. Nothing in such a file can run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wavenet_app.core.checkpoint import FORMAT_VERSION, refuse_newer, refuse_not_finite, refuse_other_format
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.safetensors_file import Parts, bfloat16_parts, file_of, read_parts, tensors_of
from wavenet_app.core.terminal import thinned
from wavenet_app.core.version import software

KIND = "wavenet"

_KEPT = ("config", "baseline", "validation", "voice")
_HISTORY_ROWS = 32  # enough to draw a curve


def write_voice(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint's content without its training state, whole or not at all.

    Args:
        path: where the file goes, with the suffix .safetensors.
        content: what `read_trained` returned, and under "voice" what `VoiceFacts` says.

    Raises:
        UserError: the file cannot be written.
    """
    plain = {name: content[name] for name in _KEPT if content.get(name) is not None}
    plain["history"] = list(thinned(content["history"], _HISTORY_ROWS))
    plain |= {"version": FORMAT_VERSION, "software": software()}
    text = json.dumps(plain, ensure_ascii=False)
    entries, numbers = bfloat16_parts(content["weights"])
    metadata = {"format": f"wavegen-{KIND}", "content": text, "sha256": _digest(text, entries, numbers)}
    write_whole(path, file_of(metadata, entries, numbers))


def read_plain_voice(path: Path) -> dict[str, Any]:
    """Returns all that a file holds beside its weights, after a check of its digest. Imports no torch.

    Raises:
        UserError: the file is absent, damaged, of another kind, or of a newer version, or does not hold what it should.
    """
    from wavenet_app.checkpoints.content import WaveNetDescription  # takes time to import
    from wavenet_app.core.content import checked

    return checked(path, WaveNetDescription, _plain(path, read_parts(path)))


def read_voice(path: Path) -> dict[str, Any]:
    """Returns the content of a file as `read_checkpoint` does for other checkpoints, with float32 weights.

    Raises:
        UserError: as `read_plain_voice`; or the weights do not match the config, or hold NaN or infinity.
    """
    from wavenet_app.checkpoints.content import WaveNetContent  # takes time to import
    from wavenet_app.core.content import checked

    parts = read_parts(path)
    plain = _plain(path, parts)
    valid = checked(path, WaveNetContent, {**plain, "weights": tensors_of(path, parts)})
    weights = {name: tensor.float() for name, tensor in valid["weights"].items()}
    refuse_not_finite(path, weights)
    return {**valid, "weights": weights}


def _plain(path: Path, parts: Parts) -> dict[str, Any]:
    metadata = parts.metadata
    refuse_other_format(path, KIND, metadata.get("format"))
    text = metadata.get("content")
    if not isinstance(text, str) or metadata.get("sha256") != _digest(text, parts.entries, parts.numbers):
        raise UserError(f"{path} cannot be read: it is damaged or was changed")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise UserError(f"{path} does not hold what it should: its content is no JSON object")
    refuse_newer(path, plain.get("version"))
    return {"format": f"wavegen-{KIND}", **plain}


def _digest(text: str, entries: Mapping[str, Any], numbers: bytes | memoryview) -> str:
    """Returns a checksum of the content, of the places of all tensors, and of their numbers."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    digest.update(json.dumps(entries, sort_keys=True).encode())
    digest.update(numbers)
    return digest.hexdigest()

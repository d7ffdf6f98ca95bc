"""What trials of engines showed, kept on disk until anything that they depend on changes."""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fast_gen.engines.trial import Trial
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.files import replacing

_PACKAGES = ("torch", "triton", "numba")
_HERE = Path(__file__).parent

Place = tuple[str, str]
"""Name and device of an engine."""


class TrialCache:
    """A file for each kind of job in a folder; safe to delete at any time.

    Args:
        folder: where; it is made when the first trial is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> dict[Place, Trial]:
        """Returns the trials of a kind of job; none if the file is absent or damaged."""
        try:
            content = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            return {(name, device): Trial(**trial) for name, device, trial in content["trials"]}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def keep(self, key: str, trials: dict[Place, Trial]) -> None:
        """Adds trials to those of a kind of job; does nothing where the folder cannot be written."""
        known = self.find(key) | trials
        content = {"trials": [[name, device, asdict(trial)] for (name, device), trial in known.items()]}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._folder / f"{key}.json") as file:
                file.write(json.dumps(content, indent=1).encode())


def counted(clips: int) -> int:
    """Returns the number of clips that stands for a number of clips: the least power of two that is not below.

    >>> [counted(clips) for clips in (1, 16, 17)]
    [1, 16, 32]
    """
    return 1 << (clips - 1).bit_length()


def trial_key(weights: GeneratorWeights, precision: str, threads: int, clips: int) -> str:
    """Returns what stands for a kind of job on this machine: all that a trial depends on."""
    facts = {
        "model": _model_facts(weights),
        "precision": precision,
        "threads": threads,
        "clips": counted(clips),
        "machine": _machine_facts(),
        "sources": _sources(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _model_facts(weights: GeneratorWeights) -> list[Any]:
    """Returns a model's shape, head and conditioning; the values of its weights do not matter."""
    shapes = [[name, *value.shape] for name, value in sorted(vars(weights).items()) if hasattr(value, "shape")]
    head = [weights.head.name, weights.output_channels, weights.coding.size]
    return [shapes, list(weights.dilations), weights.conditioned, head, str(weights.prediction)]


def _machine_facts() -> list[str]:
    """Returns the processor, the GPU with its driver, and the versions of what compiles and computes."""
    from importlib.metadata import PackageNotFoundError, version

    facts = [platform.machine(), _processor()]
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            facts.append(f"{package} {version(package)}")
    import torch

    with suppress(RuntimeError, AssertionError):
        properties = torch.cuda.get_device_properties(0)
        facts += [properties.name, f"{properties.major}.{properties.minor}", str(properties.total_memory)]
    with suppress(OSError):
        facts.append(Path("/proc/driver/nvidia/version").read_text(encoding="utf-8"))
    return facts


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line
    return platform.processor()


def _sources() -> str:
    """Returns a digest of the source files of all engines."""
    digest = hashlib.sha256()
    for path in sorted([*_HERE.rglob("*.py"), *_HERE.rglob("*.cu")]):
        digest.update(path.relative_to(_HERE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()

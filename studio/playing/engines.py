"""Engines that are ready to generate: loaded once, lent to one job at a time, and kept for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from fast_gen.engines.choice import EngineChoice
from fast_gen.engines.contract import PRECISIONS, Engine
from fast_gen.engines.cpu.ahead import compiling_ahead
from fast_gen.engines.start import Job, start_engine
from fast_gen.engines.trial_cache import TrialCache
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from studio.web.requests import plain_model_name
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder

KEPT = 6
"""Engines that are kept while nobody uses them."""

Say = Callable[[str], None]
"""Receives a line for the visitor about what is waited for."""


@dataclass(frozen=True)
class EngineKey:
    """What engines that stand for each other have in common.

    Attributes:
        path: the checkpoint.
        modified: when it was written, in nanoseconds.
        engine: the name that was asked for.
        precision: of the weights.
    """

    path: Path
    modified: int
    engine: str
    precision: str


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with an engine of its own.

    Attributes:
        key: what it stands for.
        config: the settings of its run.
        weights: the model.
        engine: generates.
        reason: which engine, and why.
    """

    key: EngineKey
    config: RunConfig
    weights: GeneratorWeights
    engine: Engine
    reason: str


class EnginePool:
    """Loads models, and keeps engines that nobody uses; may be used by several threads.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._idle: list[Loaded] = []
        self._models: dict[tuple[Path, int], tuple[RunConfig, GeneratorWeights]] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def key(self, model: str, engine: str, precision: str) -> EngineKey:
        """Returns the key of a model's engines.

        Raises:
            UserError: no checkpoint has that name, or it is a path.
        """
        path = find_checkpoint(self._folder.root, plain_model_name(model))
        return EngineKey(path, path.stat().st_mtime_ns, engine, precision)

    def take(self, key: EngineKey, say: Say) -> Loaded:
        """Returns an engine that is the caller's until it is given back.

        Raises:
            UserError: the checkpoint cannot be read, or the engine cannot run here.
        """
        with self._lock:
            for loaded in self._idle:
                if loaded.key == key:
                    self._idle.remove(loaded)
                    return loaded
        config, weights = self._model(key, say)

        def on_choice(choice: EngineChoice) -> None:
            if choice.preparation is not None:
                say(choice.preparation)

        job = Job(trials=TrialCache(self._folder.cache / "trials"))
        choice, engine = start_engine(key.engine, weights, "auto", key.precision, 1, on_choice, job)
        return Loaded(key, config, weights, engine, choice.reason)

    def give(self, loaded: Loaded) -> None:
        """Takes back an engine that nothing runs in any more."""
        with self._lock:
            self._idle.append(loaded)
            del self._idle[:-KEPT]

    def config(self, key: EngineKey) -> RunConfig:
        """Returns the settings of a model's run.

        Raises:
            UserError: the checkpoint cannot be read.
        """
        return self._model(key, lambda _line: None)[0]

    def _model(self, key: EngineKey, say: Say) -> tuple[RunConfig, GeneratorWeights]:
        version = key.path, key.modified
        with self._reading:
            if version not in self._models:
                self._models = dict(list(self._models.items())[1 - KEPT :])
                self._models[version] = self._read(key, say)
            return self._models[version]

    def _read(self, key: EngineKey, say: Say) -> tuple[RunConfig, GeneratorWeights]:
        cache = WeightCache(self._folder.cache / "weights")
        found = cache.find(key.path)
        if found is None:
            say("reading the model for the first time, which takes a moment")
            ahead = key.engine in ("auto", "cpu") and key.precision in PRECISIONS
            with compiling_ahead(key.precision, 1, say) if ahead else nullcontext():
                trained = load_trained(key.path)
            found = trained.config, GeneratorWeights.of(trained.model)
            cache.keep(key.path, *found)
        return found

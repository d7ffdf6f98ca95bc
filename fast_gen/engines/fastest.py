"""The fastest engine for a job: tries engines out where the job is long enough to pay for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fast_gen.engines.choice import ENGINES, EngineChoice, described, engine_class, fits, missing_for
from fast_gen.engines.contract import Engine
from fast_gen.engines.start import Job, OnChoice, exact_engine, why_failed
from fast_gen.engines.trial import Trial, try_out
from fast_gen.engines.trial_cache import Place, counted, trial_key
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

STARTING_SECONDS = 3.0
"""About what it takes to start and check an engine of a GPU."""

COMPILING_SECONDS = 30.0
"""The same if it has to compile."""

WORTH = 2.0
"""Least ratio of the time that a job is expected to take to that of the trial, for which an engine is tried out."""


@dataclass
class _Contest:
    """The engines that can do a job, and what is known of them.

    Attributes:
        weights: the model.
        precision: of the weights.
        threads: of the CPU.
        job: what they are for.
        say: receives each engine before it starts.
        places: those that can run.
        obstacles: why others cannot.
        trials: results so far.
        engines: those that were started; of them only the fastest is kept.
    """

    weights: GeneratorWeights
    precision: str
    threads: int
    job: Job
    say: OnChoice
    places: list[Place]
    obstacles: list[str]
    trials: dict[Place, Trial]
    engines: dict[Place, Engine] = field(default_factory=dict)

    @property
    def by_speed(self) -> list[Place]:
        """Returns the engines that sound right, the fastest first."""
        speeds = {place: trial.samples_per_second for place, trial in self.trials.items() if trial.samples_per_second}
        return sorted(speeds, key=lambda place: speeds[place] or 0.0, reverse=True)

    @property
    def seconds(self) -> float:
        """Returns how long the job takes with the fastest engine so far."""
        if self.job.samples is None:
            return 0.0
        if not self.by_speed:
            return float("inf")
        return self.job.clips * self.job.samples / (self.trials[self.by_speed[0]].samples_per_second or 1.0)

    def describe(self, place: Place, why: str) -> EngineChoice:
        """Returns the choice of an engine, with the reason."""
        return described(*place, self.weights, self.precision, self.threads, why, self.obstacles)

    def start(self, place: Place) -> Engine:
        """Returns a started engine."""
        if place not in self.engines:
            name, device = place
            self.engines[place] = engine_class(name)(self.weights, device, self.precision, self.threads)
        return self.engines[place]

    def pass_over(self, place: Place, why: str, failed: dict[Place, str]) -> None:
        """Takes an engine out of the contest."""
        failed[place] = why
        self.obstacles.append(f"{place[0]} on {place[1]}: {why}")
        self.trials.pop(place, None)
        self.engines.pop(place, None)


def start_fastest(
    weights: GeneratorWeights,
    device: str,
    precision: str,
    threads: int,
    job: Job,
    say: OnChoice,
    failed: dict[Place, str],
) -> tuple[EngineChoice, Engine] | None:
    """Returns the fastest engine for a job and why it is this one; None if no trial says.

    Args:
        weights: the model.
        device: "cuda", or "auto" for the CPU too.
        precision: as in `choose_engine`, and so is `threads`.
        threads: of the CPU.
        job: what the engine is for. Only with its samples known are engines tried out.
        say: receives each engine before it starts.
        failed: gets those that cannot run or sound wrong, and why.
    """
    contest = _contest(weights, device, precision, threads, job, say)
    if all(place == "cpu" for _, place in contest.places):
        return None  # where one engine is the fastest on every machine
    key = trial_key(weights, precision, threads, job.clips)
    kept = {} if job.trials is None else job.trials.find(key)
    contest.trials |= {place: trial for place, trial in kept.items() if place in contest.places}
    untried = _try_out_all(contest, failed) if job.samples is not None else []
    if job.trials is not None and (made := {place: t for place, t in contest.trials.items() if place not in kept}):
        job.trials.keep(key, made)
    for place, trial in list(contest.trials.items()):
        if trial.fault is not None:
            contest.pass_over(place, trial.fault, failed)
    for place in contest.by_speed:
        choice = contest.describe(place, _why(contest, place, untried))
        say(choice)
        try:
            return choice, contest.start(place)
        except UserError as error:
            contest.pass_over(place, why_failed(error), failed)
    return None


def fastest_known(weights: GeneratorWeights, precision: str, threads: int, job: Job) -> Place | None:
    """Returns the engine that `auto` takes for a job by the trials that are kept; None if none says."""
    contest = _contest(weights, "auto", precision, threads, job, lambda _: None)
    if not contest.places or all(place == "cpu" for _, place in contest.places):
        return contest.places[0] if contest.places else None
    kept = {} if job.trials is None else job.trials.find(trial_key(weights, precision, threads, job.clips))
    contest.trials |= {place: trial for place, trial in kept.items() if place in contest.places}
    return contest.by_speed[0] if contest.by_speed else None


def _contest(weights: GeneratorWeights, device: str, precision: str, threads: int, job: Job, say: OnChoice) -> _Contest:
    places, obstacles = [], []
    for name in ENGINES:
        place = engine_class(name).devices[0]  # where an engine is the faster, if it has a choice
        if (device != "auto" and place != device) or not fits(name, job.clips):
            continue
        missing = missing_for(name, place, weights, precision, threads)
        if missing is None:
            places.append((name, place))
        else:
            obstacles.append(f"{name} on {place}: {missing}")
    # the reference is there for machines on which the compiled engine cannot run
    if ("cpu", "cpu") in places and ("torch", "cpu") in places:
        places.remove(("torch", "cpu"))
    places.sort(key=lambda place: place[1] != "cpu")
    return _Contest(weights, precision, threads, job, say, places, obstacles, {})


def _try_out_all(contest: _Contest, failed: dict[Place, str]) -> list[str]:
    """Tries out each engine for which the job is long enough; returns the names of the others."""
    untried, reference = [], None
    for place in [place for place in contest.places if place not in contest.trials]:
        choice = contest.describe(place, f"being timed with {_clips(counted(contest.job.clips))}")
        cost = STARTING_SECONDS if choice.preparation is None else COMPILING_SECONDS
        if place[1] != "cpu" and contest.seconds < WORTH * cost:
            untried.append(place[0])
            continue
        if place[1] != "cpu" or choice.preparation is not None:
            contest.say(choice)
        try:
            engine = contest.start(place)
            if place[1] == "cpu":
                trial = try_out(engine, engine, counted(contest.job.clips))
            else:
                reference = reference or exact_engine(contest.weights)
                trial = try_out(engine, reference, counted(contest.job.clips))
        except UserError as error:
            contest.pass_over(place, why_failed(error), failed)
            continue
        contest.trials[place] = trial
        for slower in [other for other in contest.engines if other != contest.by_speed[0]] if contest.by_speed else []:
            del contest.engines[slower]  # frees the memory of a GPU
    return untried


def _why(contest: _Contest, place: Place, untried: list[str]) -> str:
    figures = ", ".join(f"{name} {contest.trials[name, at].samples_per_second:,.0f}" for name, at in contest.by_speed)
    why = f"the fastest for {_clips(contest.job.clips)}, timed on {contest.trials[place].date} (samples/s: {figures})"
    return f"{why}; too short a job to try: {', '.join(untried)}" if untried else why


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from wavenet_app.audio.mel import MelFrames
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import MelConfig, PredictionConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.cache import AudioCache
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Clip, Corpus
from wavenet_app.corpus.windows import TrainingWindows, ValidationWindows, max_cut_length
from wavenet_app.network.conditioning import CONTEXT_FRAMES
from wavenet_app.network.prediction.compiled import predicted_rows

RATE = 1_000
CHANNELS = 1024
SILENCE = MuLawCoding(CHANNELS).silence
FOREIGN = 3  # the code of samples of the file outside the clip
# Codes that are distinct as 16-bit samples: those around silence are too close together.
CODES = np.array([code for code in range(4, CHANNELS) if abs(code - SILENCE) > 60])

LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=7)
SHAPES = st.fixed_dictionaries(
    {"context": st.integers(1, 30), "window": st.integers(1, 40), "batch_size": st.integers(1, 5)}
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> AudioCache:
    return AudioCache(tmp_path_factory.mktemp("cache"), RATE)


def make_corpus(cache: AudioCache, lengths: list[int]) -> Corpus:
    """Clips, the same on both sides of the split, in which each sample has a unique code (while codes last)."""
    clips, first = [], 0
    for index, length in enumerate(lengths):
        codes = np.resize(np.roll(CODES, -first), length)
        waveform = MuLawCoding(CHANNELS).decode(np.concatenate([[FOREIGN] * 3, codes, [FOREIGN] * 2]))
        entry = cache.store(f"{first:04d}-{length}", [waveform], native_rate=RATE, channels=1, remarks=[])
        clips.append(Clip(f"{index}", Path("a"), entry.path, 3, 3 + length, entry.scale, entry.peak, RATE))
        first += length
    return Corpus(RATE, 1.0, tuple(clips), tuple(clips), (), ())


def count_targets(
    corpus: Corpus, batches: list[dict[str, torch.Tensor]], context: int, window: int
) -> list[np.ndarray]:
    """Checks every row and returns how often each sample of each clip was a target."""
    clips = [MuLawCoding(CHANNELS).encode(corpus.waveform(clip)).tolist() for clip in corpus.training]
    place = {code: (clip, position) for clip, codes in enumerate(clips) for position, code in enumerate(codes)}
    assert len(place) == sum(map(len, clips)), "each sample has a unique code"
    counts = [np.zeros(len(codes), dtype=int) for codes in clips]
    for batch in batches:
        codes, mask = batch["codes"], batch["mask"]
        assert codes.dtype == torch.int64
        assert mask.dtype == torch.bool
        assert codes.shape == (len(mask), context + mask.shape[1])
        assert int((~mask).all(dim=0).sum()) < math.ceil(window / 16), (
            "most of the padding that all rows share is cropped"
        )
        for row, real in zip(codes.tolist(), mask.sum(dim=1).tolist(), strict=True):
            clip, start = place[row[context]]
            before = min(context, start)
            padding = len(row) - context - real
            assert (
                row == [SILENCE] * (context - before) + clips[clip][start - before : start + real] + [SILENCE] * padding
            )
            counts[clip][start : start + real] += 1
    return counts


@given(lengths=LENGTHS, shape=SHAPES, seed=st.integers(0, 2**70), epoch=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_an_epoch_holds_every_sample_once_after_its_past(cache, lengths, shape, seed, epoch):
    corpus = make_corpus(cache, lengths)
    windows = TrainingWindows(corpus, **shape, coding=MuLawCoding(CHANNELS), seed=seed)
    per_epoch = windows.batches_per_epoch
    batches = [windows.batch(epoch * per_epoch + index) for index in range(per_epoch)]
    assert all(1 <= len(batch["mask"]) <= shape["batch_size"] for batch in batches)
    assert all(batch["mask"].shape[1] <= shape["window"] for batch in batches)
    assert sum(int(batch["mask"].sum()) for batch in batches) == sum(lengths)
    assert all((count == 1).all() for count in count_targets(corpus, batches, shape["context"], shape["window"]))


@given(lengths=LENGTHS, shape=SHAPES, seed=st.integers(0, 99), number=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_joined_clips_follow_the_end_of_another_and_nothing_else_changes(cache, lengths, shape, seed, number):
    corpus, coding = make_corpus(cache, lengths), MuLawCoding(CHANNELS)
    plain, joined = (
        TrainingWindows(corpus, **shape, coding=coding, seed=seed, joined=share).batch(number) for share in (0.0, 1.0)
    )
    context = shape["context"]
    assert torch.equal(joined["mask"], plain["mask"])
    assert torch.equal(joined["codes"][:, context:], plain["codes"][:, context:])
    clips = [coding.encode(corpus.waveform(clip)).tolist() for clip in corpus.training]
    for before, now, first in zip(
        plain["codes"][:, :context].tolist(),
        joined["codes"][:, :context].tolist(),
        plain["codes"][:, context].tolist(),
        strict=True,
    ):
        others = [codes for codes in clips if codes[0] != first]
        if len(others) < len(clips) and others:
            ends = [([SILENCE] * context + codes)[-context:] for codes in others]
            assert now in ends, "the end of another clip, after silence"
        else:
            assert now == before, "what the window continues"


def test_about_the_share_that_is_asked_for_is_joined(cache):
    corpus = make_corpus(cache, [5] * 90)
    shape = {"context": 3, "window": 20, "batch_size": 90}
    batch = TrainingWindows(corpus, **shape, coding=MuLawCoding(CHANNELS), seed=0, joined=0.75).batch(1)
    assert 55 <= int((batch["codes"][:, 2] != SILENCE).sum()) <= 80


def test_predictions_know_the_clip_that_is_joined(cache):
    corpus, coding = make_corpus(cache, [40, 40]), MuLawCoding(CHANNELS)
    prediction = PredictionConfig(order=2, window=5, hop=1, decay=0)
    shape = {"context": 4, "window": 40, "batch_size": 2, "coding": coding, "prediction": prediction}
    batch = TrainingWindows(corpus, **shape, seed=0, joined=1.0).batch(0)
    clips = [coding.encode(corpus.waveform(clip)) for clip in corpus.training]
    known = [
        predicted_rows(prediction, coding.decode(np.concatenate(pair))[None])[:, 0] for pair in (clips, clips[::-1])
    ]
    for codes, rows in zip(batch["codes"], batch["predicted_rows"].numpy(), strict=True):
        follows = int(codes[4] == clips[0][0])
        np.testing.assert_array_equal(rows, known[follows][:, 36:79])


@given(lengths=LENGTHS, shape=SHAPES)
@settings(max_examples=20, deadline=None)
def test_validation_holds_every_sample_once(cache, lengths, shape):
    corpus = make_corpus(cache, lengths)
    windows = ValidationWindows(corpus, **shape, coding=MuLawCoding(CHANNELS))
    batches = list(windows)
    assert len(batches) == len(windows)
    assert windows.num_samples == sum(int(batch["mask"].sum()) for batch in batches) == sum(lengths)
    assert all((count == 1).all() for count in count_targets(corpus, batches, shape["context"], shape["window"]))


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@given(lengths=LENGTHS, shape=SHAPES, start=st.integers(0, 60), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_starting_at_a_step_equals_running_up_to_it(cache, lengths, shape, start, seed):
    corpus = make_corpus(cache, lengths)
    through = TrainingWindows(corpus, **shape, coding=MuLawCoding(CHANNELS), seed=seed)
    resumed = TrainingWindows(corpus, **shape, coding=MuLawCoding(CHANNELS), seed=seed, start_step=start)
    expected = list(islice(through, start, start + 5))
    assert all(equal(one, other) for one, other in zip(expected, islice(resumed, 5), strict=True))


@given(lengths=LENGTHS, shape=SHAPES, seed=st.integers(0, 5), ranks=st.sampled_from([2, 3, 7]))
@settings(max_examples=40, deadline=None)
def test_ranks_divide_the_batches_of_a_single_one(cache, lengths, shape, seed, ranks):
    corpus = make_corpus(cache, lengths)
    common = {**shape, "coding": MuLawCoding(CHANNELS), "seed": seed, "start_step": 2}
    whole = islice(TrainingWindows(corpus, **{**common, "batch_size": ranks * shape["batch_size"]}), 3)
    parts = [islice(TrainingWindows(corpus, **common, rank=rank, world_size=ranks), 3) for rank in range(ranks)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert all(1 <= len(share["mask"]) <= shape["batch_size"] for share in shares)
        rows = [row for share in shares for row in real_rows(share, shape["context"])]
        assert rows == real_rows(batch, shape["context"])


def real_rows(batch: dict[str, torch.Tensor], context: int) -> list[list[int]]:
    """Returns the targets of each row that has some."""
    rows = [codes[context:][mask].tolist() for codes, mask in zip(batch["codes"], batch["mask"], strict=True)]
    return [row for row in rows if row]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_order_is_the_same_for_any_number_of_workers(cache, workers):
    windows = TrainingWindows(
        make_corpus(cache, [70, 50, 60, 11]),
        context=5,
        window=9,
        batch_size=2,
        coding=MuLawCoding(CHANNELS),
        seed=1,
        start_step=3,
    )
    loaded = islice(DataLoader(windows, batch_size=None, num_workers=workers), 8)
    assert all(equal(one, other) for one, other in zip(loaded, islice(windows, 8), strict=True))


def test_seed_and_epoch_change_the_order_and_the_cuts(cache):
    corpus = make_corpus(cache, [75, 50, 60])
    shape = {"context": 5, "window": 20, "batch_size": 2, "coding": MuLawCoding(CHANNELS)}
    one, other = (TrainingWindows(corpus, **shape, seed=seed) for seed in (0, 1))
    assert not equal(one.batch(0), other.batch(0))
    assert not equal(one.batch(0), one.batch(one.batches_per_epoch))
    cuts = {
        tuple(sorted(batch["mask"].sum().item() for batch in islice(one, epoch * 5, epoch * 5 + 5)))
        for epoch in range(9)
    }
    assert len(cuts) > 1


def test_short_windows_share_batches(cache):
    lengths = [4, 38] * 40
    windows = TrainingWindows(
        make_corpus(cache, lengths), context=5, window=40, batch_size=4, coding=MuLawCoding(CHANNELS), seed=0
    )
    masks = [windows.batch(index)["mask"] for index in range(windows.batches_per_epoch)]
    assert sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks) > 0.9


def test_which_windows_share_a_batch_changes_although_they_are_of_similar_length(cache):
    lengths = list(range(1, 81))  # a pool of 32 batches, and a bit
    windows = TrainingWindows(
        make_corpus(cache, lengths), context=1, window=400, batch_size=2, coding=MuLawCoding(CHANNELS), seed=0
    )
    first, second = (
        {frozenset(windows.batch(40 * epoch + index)["mask"].sum(dim=1).tolist()) for index in range(40)}
        for epoch in range(2)
    )
    assert len(first & second) < 20, "at most half of the 40 batches"


@pytest.mark.parametrize(("length", "window", "cuts"), [(30, 20, range(12, 19)), (31, 17, range(14, 17))])
def test_cuts_move_to_both_sides_within_the_longest_window_and_a_quarter(cache, length, window, cuts):
    windows = TrainingWindows(
        make_corpus(cache, [length]), context=1, window=window, batch_size=2, coding=MuLawCoding(CHANNELS), seed=0
    )
    found = set()
    for epoch in range(100):
        batch = windows.batch(epoch)
        first = int(batch["codes"][1, 0] == SILENCE)  # the row whose context is what precedes the clip
        found.add(int(batch["mask"][first].sum()))
    assert found == set(cuts)


def test_windows_are_shorter_by_what_their_alignment_may_add():
    assert max_cut_length(40, 1) == 40
    assert max_cut_length(40, 8) == 33
    assert max_cut_length(32, 8) == 25


def test_batches_come_in_few_lengths(cache):
    """The math library compiles code for each new shape of a product, which takes longer than the product."""
    lengths = list(range(20, 500, 3))
    settings = {"context": 5, "window": 320, "batch_size": 1, "coding": MuLawCoding(CHANNELS)}
    corpus = make_corpus(cache, lengths)
    windows = TrainingWindows(corpus, **settings, seed=0)
    for batches in (list(islice(windows, 2 * windows.batches_per_epoch)), list(ValidationWindows(corpus, **settings))):
        shapes = {batch["mask"].shape[1] for batch in batches}
        assert 8 < len(shapes) <= 16
        assert max(shapes) <= 320
        for batch in batches:
            assert 0 <= batch["mask"].shape[1] - int(batch["mask"].sum()) < 20, "as short as possible"


def test_limited_validation_takes_evenly_spread_whole_windows(cache):
    corpus = make_corpus(cache, [100] * 8)
    shape = {"context": 5, "window": 10, "batch_size": 4, "coding": MuLawCoding(CHANNELS)}
    limited = ValidationWindows(corpus, **shape, limit_seconds=0.16)
    assert limited.num_samples == 160
    counts = count_targets(corpus, list(limited), 5, 10)
    assert [int(count.sum()) for count in counts] == [20] * 8
    assert ValidationWindows(corpus, **shape, limit_seconds=1e-9).num_samples == 10
    assert ValidationWindows(corpus, **shape, limit_seconds=5.0).num_samples == 800


def test_limited_validation_takes_the_middle_of_each_part_and_the_longest_first(cache):
    shape = {"context": 5, "window": 10, "batch_size": 4, "coding": MuLawCoding(CHANNELS)}
    limited = ValidationWindows(make_corpus(cache, [100]), **shape, limit_seconds=0.02)
    assert limited.spans == ((0, 20, 30), (0, 70, 80))
    mixed = ValidationWindows(make_corpus(cache, [3, 10, 7]), **shape)
    assert mixed.spans == ((1, 0, 10), (2, 0, 7), (0, 0, 3))


def test_a_clip_shorter_than_the_context_follows_silence(cache):
    corpus = make_corpus(cache, [3])
    batch = TrainingWindows(corpus, context=8, window=40, batch_size=2, coding=MuLawCoding(64), seed=0).batch(0)
    codes = MuLawCoding(64).encode(corpus.waveform(corpus.training[0])).tolist()
    assert batch["codes"].tolist() == [[MuLawCoding(64).silence] * 8 + codes]
    assert batch["mask"].tolist() == [[True] * 3]


@given(lengths=LENGTHS, seed=st.integers(0, 99), number=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_predictions_of_a_window_know_the_clip_before_it(cache, lengths, seed, number):
    corpus, coding = make_corpus(cache, lengths), MuLawCoding(CHANNELS)
    prediction = PredictionConfig(order=2, window=5, hop=1, decay=0)  # a hop of 1 has no phase, no decay no past
    shape = {"context": 4, "window": 12, "batch_size": 3}
    for windows in (
        TrainingWindows(corpus, **shape, coding=coding, seed=seed, prediction=prediction),
        ValidationWindows(corpus, **shape, coding=coding, prediction=prediction),
    ):
        batch = windows.batch(number) if isinstance(windows, TrainingWindows) else windows[0]
        rows, samples = batch["codes"][:, 1:].shape
        assert batch["predicted_rows"].shape == (rows, 3, samples)
        clips = corpus.training if isinstance(windows, TrainingWindows) else corpus.validation
        for row, mask in enumerate(batch["mask"].numpy()):
            seen = shape["context"] + int(mask.sum())  # the rest is padding
            codes = batch["codes"][row, :seen].numpy()
            found = batch["predicted_rows"][row, :, : seen - 1].numpy()
            for clip in clips:
                silence = np.full(40, coding.silence)
                whole = np.concatenate([silence, coding.encode(corpus.waveform(clip)), silence])
                known = predicted_rows(prediction, coding.decode(whole)[None])[:, 0]
                places = [place for place in range(len(whole) - seen + 1) if (whole[place:][:seen] == codes).all()]
                if any((known[:, place:][:, : seen - 1] == found).all() for place in places):
                    break
            else:
                raise AssertionError("no clip has these predictions")


SHORT_MEL = MelConfig(n_mels=4, hop_length=8, n_fft=20, upsampling=4).resolved(RATE)


@given(
    lengths=LENGTHS,
    shape=st.fixed_dictionaries(
        {"context": st.integers(1, 30), "window": st.integers(32, 60), "batch_size": st.integers(1, 5)}
    ),
    seed=st.integers(0, 2**70),
    epoch=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_windows_are_aligned_to_their_frames(cache, lengths, shape, seed, epoch):
    corpus = make_corpus(cache, lengths)
    names = [str(place % 2) for place in range(len(lengths))]
    clips = tuple(replace(clip, speaker=name) for clip, name in zip(corpus.training, names, strict=True))
    corpus = replace(corpus, training=clips, validation=clips)
    mel = MelFrames(SHORT_MEL, RATE)
    conditioning = ClipConditioning(("0", "1"), mel)
    phase, context = conditioning.phase(shape["context"]), shape["context"]
    training = TrainingWindows(corpus, **shape, coding=MuLawCoding(CHANNELS), seed=seed, conditioning=conditioning)
    per_epoch = training.batches_per_epoch
    validation = ValidationWindows(corpus, **shape, coding=MuLawCoding(CHANNELS), conditioning=conditioning)
    whole = [mel.of(corpus.waveform(clip)) for clip in corpus.training]
    place = {
        code: (number, position)
        for number, clip in enumerate(corpus.training)
        for position, code in enumerate(MuLawCoding(CHANNELS).encode(corpus.waveform(clip)).tolist())
    }
    for batches in ([training.batch(epoch * per_epoch + index) for index in range(per_epoch)], list(validation)):
        assert sum(int(batch["mask"].sum()) for batch in batches) == sum(lengths)
        for batch in batches:
            length = batch["mask"].shape[1]
            assert length <= shape["window"]
            assert batch["mel"].shape[2] == SHORT_MEL.columns
            frames = batch["mel"].shape[1] - 2 * CONTEXT_FRAMES
            assert 0 <= frames * 8 - phase - (context + length - 1) < 8, (
                "the frames cover the samples, without an extra frame"
            )
            for row, codes in enumerate(batch["codes"].tolist()):
                number, start = place[codes[context]]
                assert batch["speaker"][row].tolist() == [number % 2 == 0, number % 2 == 1]
                first = start - context + 1 - phase
                assert first % 8 == 0
                for index, frame in enumerate(batch["mel"][row].numpy()):
                    at = first // 8 - CONTEXT_FRAMES + index
                    inside = 0 <= at < len(whole[number])
                    expected = whole[number][at] if inside else mel.silent(1)[0]
                    np.testing.assert_allclose(frame[: SHORT_MEL.n_mels], expected, atol=1e-3)


def test_a_window_of_too_few_hops_is_refused(cache):
    corpus = make_corpus(cache, [90])
    with pytest.raises(UserError, match="at least four times the hop"):
        ValidationWindows(
            corpus,
            context=3,
            window=31,
            batch_size=1,
            coding=MuLawCoding(CHANNELS),
            conditioning=ClipConditioning((), MelFrames(SHORT_MEL, RATE)),
        )

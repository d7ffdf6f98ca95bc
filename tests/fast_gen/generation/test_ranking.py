"""Ranking: the most likely first, failed clips again with new rows, and a limit on the tries."""

import numpy as np
from random_nets import SHAPES, random_codes, random_net

from fast_gen.generation.ranking import ROUNDS, ScoredClip, ranked, scored
from wavenet_app.coding import MuLawCoding
from wavenet_app.evaluation.likelihood import code_bits


class Maker:
    """Makes clips that hold their own row, and decides which rows fail."""

    def __init__(self, bits: dict[int, float], failing: set[int]) -> None:
        self.bits, self.failing = bits, failing
        self.asked: list[tuple[int, int]] = []

    def make(self, first_row: int, count: int) -> np.ndarray:
        self.asked.append((first_row, count))
        return np.arange(first_row, first_row + count, dtype=np.float32)[:, None]

    def score(self, waveform: np.ndarray, row: int) -> ScoredClip:
        assert waveform[0] == row
        return ScoredClip(waveform, row, self.bits.get(row, 9.0), "noise" if row in self.failing else None)


def test_the_most_likely_comes_first() -> None:
    maker = Maker({0: 4.0, 1: 2.0, 2: 3.0}, set())
    found = ranked(maker.make, maker.score, 3)
    assert [clip.row for clip in found.clips] == [1, 2, 0]
    assert (found.redone, found.failed) == (0, 0)
    assert maker.asked == [(0, 3)]


def test_failed_clips_are_generated_again_with_new_rows() -> None:
    maker = Maker({0: 4.0, 1: 1.0, 2: 3.0, 3: 2.0, 4: 2.5}, {1, 2, 3})
    found = ranked(maker.make, maker.score, 3)
    assert maker.asked == [(0, 3), (3, 2), (5, 1)]
    assert [clip.row for clip in found.clips] == [4, 0, 5]
    assert (found.redone, found.failed) == (3, 0)


def test_tries_are_limited_and_failed_clips_come_last() -> None:
    maker = Maker({0: 5.0}, set(range(1, 100)))
    found = ranked(maker.make, maker.score, 3)
    assert len(maker.asked) == 1 + ROUNDS
    assert len(found.clips) == 3
    assert found.clips[0].row == 0
    assert (found.redone, found.failed) == (2 * ROUNDS, 2)


def test_a_clip_is_scored_by_its_codes_after_its_prime() -> None:
    config = SHAPES["two cycles"]
    net = random_net(config)
    codes = random_codes(config, 1, 300)[0]
    waveform = MuLawCoding(config.quantization_channels).decode(codes[200:])
    found = scored(net, waveform, 7, 8_000, prime_codes=codes[:200])
    assert found.row == 7
    assert np.isclose(found.bits, code_bits(net, codes, 200).mean(), atol=1e-5)
    assert scored(net, np.zeros(100, dtype=np.float32), 0, 8_000).failure == "silence"

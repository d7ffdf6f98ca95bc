"""generate() and stream(): chunks, rows, primes and the silence before a clip."""

import itertools

import numpy as np
import pytest
from random_nets import SHAPES, random_codes, random_net

from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import Steering, generate, steered, stream
from wavenet_app.coding import MuLawCoding
from wavenet_app.core.errors import UserError

CONFIG = SHAPES["two cycles"]
PLAIN = SamplingSettings()


@pytest.fixture(scope="module")
def engine() -> TorchQueue:
    return TorchQueue(GeneratorWeights.of(random_net(CONFIG)))


@pytest.mark.parametrize("chunk_samples", [1, 7, 64, 150, 1000])
def test_chunks_equal_the_whole(engine: TorchQueue, chunk_samples: int) -> None:
    whole = generate(engine, num_samples=150, batch_size=2, seed=4, settings=PLAIN)
    chunks = list(stream(engine, num_samples=150, batch_size=2, seed=4, settings=PLAIN, chunk_samples=chunk_samples))
    assert all(chunk.shape[1] == chunk_samples for chunk in chunks[:-1])
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)


def test_a_clip_alone_equals_the_clip_in_a_batch(engine: TorchQueue) -> None:
    batch = generate(engine, num_samples=100, batch_size=4, seed=1, settings=PLAIN)
    assert len(np.unique(batch, axis=0)) == 4
    for row in range(4):
        alone = generate(engine, num_samples=100, seed=1, settings=PLAIN, first_row=row)
        np.testing.assert_array_equal(alone[0], batch[row])


def test_the_waveform_is_that_of_the_codes(engine: TorchQueue) -> None:
    waveform = generate(engine, num_samples=80, batch_size=2, seed=0, settings=PLAIN)
    channels = CONFIG.quantization_channels
    assert waveform.dtype == np.float32
    assert np.abs(waveform).max() <= 1
    engine.reset(2)
    engine.prime(np.full((2, CONFIG.receptive_field), channels // 2))
    codes = engine.generate(uniforms(0, rows=2, length=80), PLAIN)
    np.testing.assert_array_equal(waveform, MuLawCoding(channels).decode(codes))
    np.testing.assert_array_equal(MuLawCoding(channels).encode(waveform), codes)


def test_a_clip_starts_after_silence_of_any_length(engine: TorchQueue) -> None:
    waveform = generate(engine, num_samples=60, seed=0, settings=PLAIN)
    more_silence = np.full(500, CONFIG.quantization_channels // 2)
    continued = generate(engine, num_samples=60, seed=0, settings=PLAIN, prime_codes=more_silence)
    np.testing.assert_array_equal(continued, waveform)


def test_another_seed_gives_another_clip(engine: TorchQueue) -> None:
    one, other = (generate(engine, num_samples=60, seed=seed, settings=PLAIN) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_a_prime_is_continued_by_one_or_by_all_clips(engine: TorchQueue) -> None:
    prime = random_codes(CONFIG, 1, 200)
    shared = generate(engine, num_samples=50, batch_size=2, seed=0, settings=PLAIN, prime_codes=prime[0])
    each = generate(
        engine, num_samples=50, batch_size=2, seed=0, settings=PLAIN, prime_codes=np.repeat(prime, 2, axis=0)
    )
    np.testing.assert_array_equal(shared, each)
    assert not np.array_equal(shared, generate(engine, num_samples=50, batch_size=2, seed=0, settings=PLAIN))
    engine.reset(1)
    engine.score(np.concatenate([np.full((1, 300), CONFIG.quantization_channels // 2), prime], axis=1))
    codes = engine.generate(uniforms(0, rows=1, length=50), PLAIN)
    np.testing.assert_array_equal(MuLawCoding(CONFIG.quantization_channels).decode(codes[0]), shared[0])


def test_progress_adds_up(engine: TorchQueue) -> None:
    brought: list[int] = []
    generate(engine, num_samples=1100, seed=0, settings=PLAIN, progress=brought.append)
    assert brought == [1024, 76]


def test_an_endless_stream_starts_like_a_clip(engine: TorchQueue) -> None:
    endless = stream(engine, num_samples=None, seed=0, settings=PLAIN, chunk_samples=30)
    found = np.concatenate(list(itertools.islice(endless, 3)), axis=1)
    np.testing.assert_array_equal(found, generate(engine, num_samples=90, seed=0, settings=PLAIN))


def test_counts_below_one_are_refused_at_once(engine: TorchQueue) -> None:
    with pytest.raises(UserError, match="number of samples must be at least 1, not 0"):
        stream(engine, num_samples=0, seed=0, settings=PLAIN)
    with pytest.raises(UserError, match="number of clips"):
        stream(engine, num_samples=1, batch_size=0, seed=0, settings=PLAIN)
    with pytest.raises(UserError, match="samples a chunk"):
        stream(engine, num_samples=1, chunk_samples=0, seed=0, settings=PLAIN)


def test_a_prime_of_codes_out_of_range_is_refused(engine: TorchQueue) -> None:
    with pytest.raises(ValueError, match="codes must"):
        stream(engine, num_samples=1, seed=0, settings=PLAIN, prime_codes=np.array([CONFIG.quantization_channels]))


def test_settings_may_change_between_chunks(engine: TorchQueue) -> None:
    given = [Steering(PLAIN), Steering(PLAIN), Steering(SamplingSettings(temperature=0))]  # the first is for the prime
    steering = iter(given)
    chunks = list(steered(engine, num_samples=100, seed=4, steering=lambda: next(steering), chunk_samples=50))
    engine.reset(1)
    engine.prime(np.full((1, CONFIG.receptive_field), CONFIG.quantization_channels // 2))
    numbers = uniforms(4, rows=1, length=100)
    codes = [engine.generate(numbers[:, :50], PLAIN), engine.generate(numbers[:, 50:], given[2].settings)]
    expected = MuLawCoding(CONFIG.quantization_channels).decode(np.concatenate(codes, axis=1))
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), expected)
    assert not np.array_equal(expected, generate(engine, num_samples=100, seed=4, settings=PLAIN))

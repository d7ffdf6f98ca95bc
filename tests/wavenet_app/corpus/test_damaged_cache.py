"""Whatever is damaged in the cache of decoded audio, the corpus is the same, or one line says what to do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.corpus import Corpus, open_corpus

RATE = 8_000
SPLIT = CorpusConfig(validation_fraction=0.5)


def opened(folder: Path, cache: Path) -> Corpus:
    return open_corpus([folder], audio=AudioConfig(), split=SPLIT, cache_dir=cache, sample_rate=None)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(2):
        noise = 0.1 * np.random.default_rng(number).standard_normal(RATE * (1 + number))
        soundfile.write(folder / f"{number}.wav", noise, RATE)
    return folder


@pytest.fixture(scope="module")
def whole(sounds, tmp_path_factory) -> Path:
    cache = tmp_path_factory.mktemp("whole") / "cache"
    opened(sounds, cache)
    return cache


def clips(corpus: Corpus) -> list[tuple]:
    found = corpus.training + corpus.validation
    return [(clip.name, clip.start, clip.stop, clip.scale, corpus.waveform(clip).tolist()) for clip in found]


def assert_the_same(sounds: Path, whole: Path, cache: Path) -> None:
    """The second opening, if the first one finds damage in the samples, gives the corpus of a whole cache."""
    try:
        found = clips(opened(sounds, cache))
    except UserError as error:
        if "start the same command again" not in str(error):
            raise
        found = clips(opened(sounds, cache))
    assert found == clips(opened(sounds, whole))


def damaged(data: bytes, place: int, action: str, inserted: bytes) -> bytes:
    place %= len(data)
    rest = data[place + len(inserted) :] if action == "replace" else data[place:] if action == "insert" else b""
    return data[:place] + inserted + rest


@given(
    place=st.integers(0, 10_000),
    action=st.sampled_from(["replace", "insert", "cut"]),
    inserted=st.binary(max_size=4)
    | st.sampled_from([b"0", b"-", b"1e999", b"9" * 5000, b"Infinity", b"[", b'"', b"(("]),
    kind=st.sampled_from(["*.npy", "*.json", "hashes.json"]),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_leaves_the_corpus_as_it_was(sounds, whole, tmp_path, place, action, inserted, kind):
    cache = tmp_path / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(whole, cache)
    path = sorted(cache.rglob(kind))[0]
    path.write_bytes(damaged(path.read_bytes(), place, action, inserted))
    assert_the_same(sounds, whole, cache)


@pytest.mark.parametrize(
    ("field", "value"), [("exponent", 3), ("rises", []), ("num_samples", 5), ("second_peaks", [0.5]), ("peak", 2.0)]
)
def test_an_entry_of_other_values_is_decoded_again(sounds, whole, tmp_path, field, value):
    shutil.copytree(whole, tmp_path / "cache")
    path = next(path for path in (tmp_path / "cache").rglob("*.json") if path.name != "hashes.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert_the_same(sounds, whole, tmp_path / "cache")


@pytest.mark.parametrize("key", ["", "../../x", "a\0b", "x" * 5000, "é" * 32])
def test_a_remembered_hash_that_is_none_is_not_taken_for_a_file_name(sounds, whole, tmp_path, key):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    memo = json.loads((cache / "hashes.json").read_text())
    (cache / "hashes.json").write_text(json.dumps({name: [*values[:2], key] for name, values in memo.items()}))
    assert_the_same(sounds, whole, cache)
    assert json.loads((cache / "hashes.json").read_text()) == memo

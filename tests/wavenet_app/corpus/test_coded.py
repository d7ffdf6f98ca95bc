"""What codes stand for: the parts of a clip's excitation are those of the whole, and other models see the clip."""

from dataclasses import replace

import numpy as np
import pytest

from wavenet_app.audio.mel import MelFrames
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import AudioConfig, CorpusConfig, MelConfig
from wavenet_app.corpus.baseline import coded_pieces
from wavenet_app.corpus.coded import coded_waveform, for_model
from wavenet_app.corpus.corpus import open_corpus
from wavenet_app.corpus.windows import TrainingWindows

MEL = MelConfig(n_mels=20).resolved(8_000)
CODING = MuLawCoding(256)


@pytest.fixture
def corpus(tone_folder, tmp_path):
    return open_corpus(
        [tone_folder], audio=AudioConfig(), split=CorpusConfig(), cache_dir=tmp_path / "cache", sample_rate=8_000
    )


def test_other_models_see_the_clip(corpus):
    clip = corpus.training[0]
    for mel in (None, MEL.model_copy(update={"filter_order": 0})):
        same = for_model(corpus, mel)
        np.testing.assert_array_equal(coded_waveform(same, clip, 5, 600), corpus.waveform(clip, 5, 600))


@pytest.mark.parametrize("part", [(0, 10), (1, 101), (333, 1_200), (500, None), (-5, 99_999_999), (7, 7)])
def test_parts_are_those_of_the_whole_excitation(corpus, part):
    clip = corpus.training[0]
    whole = MelFrames(MEL, 8_000).coded(corpus.waveform(clip))
    start, stop = part
    wanted = whole[max(start, 0) : stop]
    np.testing.assert_allclose(coded_waveform(for_model(corpus, MEL), clip, start, stop), wanted, atol=1e-6)


def test_windows_and_baselines_are_of_the_excitation(corpus):
    ours = for_model(corpus, MEL)
    assert replace(ours, mel=None) == corpus
    settings = {"context": 30, "window": 800, "batch_size": 1, "coding": CODING, "seed": 0}
    plain, coded = (TrainingWindows(one, **settings).batch(0)["codes"].numpy() for one in (corpus, ours))
    assert plain.shape == coded.shape
    assert (plain != coded).mean() > 0.5
    pieces = coded_pieces(ours, ours.training, CODING)
    np.testing.assert_array_equal(pieces[0], CODING.encode(coded_waveform(ours, ours.training[0])))

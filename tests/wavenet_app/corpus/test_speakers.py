"""The speaker of a file, and the voice that a user chooses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speakers import NoSpeakerError, speaker_rule, speaker_shares

SPEAKERS = ("ann", "jackson", "theo")


@pytest.mark.parametrize(
    ("rule", "name", "speaker"),
    [
        ("folder", "jackson/0.wav", "jackson"),
        ("folder", "ann/chapter/0.wav", "ann"),
        (r"regex:_([a-z]+)_\d", "digits/7_theo_12.wav", "theo"),
        (r"regex:(\d)_(?P<speaker>[a-z]+)_", "7_theo_12.wav", "theo"),
        (r"regex:p\d+", "vctk/p225_001.wav", "p225"),
    ],
)
def test_rules_find_the_speaker(rule, name, speaker):
    assert speaker_rule(rule)(name) == speaker


@pytest.mark.parametrize(
    ("rule", "name", "reason"),
    [
        ("folder", "0.wav", "not in a folder"),
        (r"regex:_([a-z]+)_", "0.wav", "does not match"),
        (r"regex:x(y)?", "x.wav", "does not match"),
    ],
)
def test_a_file_without_a_speaker_gets_a_reason(rule, name, reason):
    with pytest.raises(NoSpeakerError, match=reason):
        speaker_rule(rule)(name)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("folders", "takes folder, csv:FILE or regex:PATTERN, not 'folders'"),
        ("csv:", "takes folder"),
        ("csv:absent.csv", "cannot read absent.csv"),
        ("regex:(", "not a valid regular expression"),
    ],
)
def test_invalid_rules_are_refused(rule, message):
    with pytest.raises(UserError, match=message):
        speaker_rule(rule)


def test_names_are_compared_in_composed_form():
    assert speaker_rule("folder")("Zoe\u0308/0.wav") == "Zo\u00eb"
    assert speaker_shares("Zo\u00eb", ("Zoe\u0308", "theo")).tolist() == [1, 0]


@given(st.lists(st.floats(0, 100), min_size=3, max_size=3).filter(lambda weights: sum(weights) > 1e-3))
def test_shares_sum_to_one(weights):
    text = ",".join(f"{name}:{weight}" for name, weight in zip(SPEAKERS, weights, strict=True))
    np.testing.assert_allclose(speaker_shares(text, SPEAKERS), np.array(weights) / sum(weights), atol=1e-6)


def test_a_single_name_may_contain_commas_and_colons():
    assert speaker_shares("theo", SPEAKERS).tolist() == [0, 0, 1]
    assert speaker_shares("a:b, c", ("a:b, c", "a")).tolist() == [1, 0]
    assert speaker_shares("theo,ann", SPEAKERS).tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jakson", "no speaker is called 'jakson'; did you mean 'jackson'. There are: ann, jackson, theo"),
        ("theo:x", "the weight of theo must be a number"),
        ("theo:-1", "the weight of theo"),
        ("theo:nan", "the weight of theo"),
        ("theo:1e308,ann:1e308", "the weight of theo must be a number from 0 to 1,000,000"),
        ("theo:0", "all weights are zero"),
        ("theo:0.5,bo:0.5", "no speaker is called 'bo'"),
    ],
)
def test_invalid_voices_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        speaker_shares(text, SPEAKERS)


def test_a_model_without_speakers_says_so():
    with pytest.raises(UserError, match="trained without speakers"):
        speaker_shares("theo", ())


def test_of_many_speakers_the_first_are_listed():
    with pytest.raises(UserError, match=r"there are: p0, p1, .* p39 and 69 more \(wavegen info lists all\)$"):
        speaker_shares("q", [f"p{number}" for number in range(109)])

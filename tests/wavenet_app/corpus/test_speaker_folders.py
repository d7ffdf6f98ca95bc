"""Which folders of a corpus are its speakers."""

import pytest

from wavenet_app.corpus.speaker_folders import level_remark, speaker_level
from wavenet_app.corpus.speakers import speaker_rule

LIBRITTS = (
    "train-clean-100/84/121123/84_121123_000007_000001.wav",
    "train-clean-100/60/208/60_208_000001_000001.wav",
    "dev-clean/14/208/14_208_000001_000001.wav",
)
VCTK = ("wav48/p225/p225_001.wav", "wav48/p226/p226_001.wav")


@pytest.mark.parametrize(
    ("names", "speakers"),
    [
        (LIBRITTS, ["84", "60", "14"]),
        ([name.removeprefix("train-clean-100/") for name in LIBRITTS[:2]], ["84", "60"]),
        (LIBRITTS[:1], ["84"]),
        (VCTK, ["p225", "p226"]),
        (VCTK[:1], ["p225"]),
        ([name.replace("_001", "-x/001") for name in VCTK], ["p225", "p226"]),
        (("corpus/ann/0.wav", "corpus/jo/0.wav"), ["ann", "jo"]),
        (("train/ann/0.wav", "test/jo/0.wav"), ["ann", "jo"]),
        (("ann/a/0.wav", "jo/a/0.wav"), ["ann", "jo"]),
        (("ann/0.wav", "jo/0.wav"), ["ann", "jo"]),
        (("ann/0.wav", "ann/1.wav"), ["ann", "ann"]),
    ],
)
def test_folders_mean_readers(names, speakers):
    rule = speaker_rule("folder", names)
    assert [rule(name) for name in names] == speakers


def test_the_level_is_shown_where_folders_are_nested():
    assert level_remark(["ann/0.wav"]) is None
    assert level_remark(LIBRITTS).startswith("speakers are the folders of level 2, such as 84 in train-clean-100/84/")


def test_without_folders_the_level_is_the_first():
    assert speaker_level(["0.wav"]) == 0

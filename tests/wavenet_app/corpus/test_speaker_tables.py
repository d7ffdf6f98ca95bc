"""Tables of speakers: separators, encodings, paths, and the tables of readers of public corpora."""

from pathlib import Path

import pytest

from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speaker_tables import NoSpeakerError
from wavenet_app.corpus.speakers import speaker_rule

CASES = Path(__file__).parents[4] / "shared" / "cases" / "audio"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("file,speaker\na/0.wav,ann\n1.wav,theo\n", {"a/0.wav": "ann", "x/1.wav": "theo"}),
        ("speaker\tduration\tpath\nann\t3\t0.wav\n", {"0.wav": "ann", "b/0.wav": "ann"}),
        ("0|ann\n1|theo\n", {"0.wav": "ann", "d/1.flac": "theo"}),
        ("\ufeff0.wav;Ann Lee\n\n", {"0.wav": "Ann Lee"}),
        ('"a, b.wav",ann\n', {"a, b.wav": "ann"}),
        ("a\\0.wav,ann\n", {"a/0.wav": "ann"}),
    ],
)
def test_tables_in_any_common_format(tmp_path, text, found):
    table = tmp_path / "who.csv"
    table.write_text(text, encoding="utf-8")
    rule = speaker_rule(f"csv:{table}")
    assert {name: rule(name) for name in found} == found


def test_a_table_with_missing_or_contradicting_lines_gives_a_reason(tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("0.wav,ann\n0.wav,theo\n2.wav,\n", encoding="utf-8")
    rule = speaker_rule(f"csv:{table}")
    for name, reason in (("0.wav", "several"), ("1.wav", "no line"), ("2.wav", "no line")):
        with pytest.raises(NoSpeakerError, match=reason):
            rule(name)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('speaker\tpath\ttext\nann\t0.wav\t"Yes\nbo\t1.wav\tNo\n', {"0.wav": "ann", "1.wav": "bo"}),
        ('"a, b.wav"\tann\n', {"a, b.wav": "ann"}),  # Excel quotes cells with commas in tables of tabs too
        ("sep=;\nfile;speaker\n0.wav;Lee, Ann\n", {"0.wav": "Lee, Ann"}),
        ("SEP=|\n0.wav|ann,bo\n1.wav|x\n", {"0.wav": "ann,bo"}),
        ("# made by hand\n0.wav,ann\n; the rest\n1.wav,bo\n", {"0.wav": "ann", "1.wav": "bo"}),
        ("wavs/0.wav|7|One, two, three, four\nwavs/1.wav|8|No\n", {"0.wav": "7", "wavs/1.wav": "8"}),
        ("0|One, two, three, four|ann\n1|And the end of it|bo\n", {"0.wav": "ann", "1.wav": "bo"}),
        ("Zoe\u0308.wav,zo\n", {"Zo\u00eb.wav": "zo"}),
        ("Zo\u00eb.wav,zo\n", {"Zoe\u0308.wav": "zo"}),
        ("C:\\data\\ann\\0.wav,ann\nC:\\data\\bo\\0.wav,bo\n", {"ann/0.wav": "ann", "bo/0.wav": "bo"}),
        ("/home/me/c/ann/0.wav,ann\n/home/me/c/1.wav,bo\n", {"ann/0.wav": "ann", "1.wav": "bo"}),
        ("../c/ann/0.wav,ann\n", {"ann/0.wav": "ann", "c/ann/0.wav": "ann"}),
        ("a/0.wav,ann\n0.wav,bo\n", {"a/0.wav": "ann", "b/0.wav": "bo"}),
    ],
)
def test_real_tables(tmp_path, text, found):
    table = tmp_path / "who.csv"
    table.write_text(text, encoding="utf-8")
    rule = speaker_rule(f"csv:{table}")
    assert {name: rule(name) for name in found} == found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_tables_in_the_encodings_of_spreadsheets(tmp_path, encoding):
    (tmp_path / "who.txt").write_bytes("file\tspeaker\r\n0.wav\tZo\u00eb\r\n".encode(encoding))
    assert speaker_rule(f"csv:{tmp_path / 'who.txt'}")("0.wav") == "Zo\u00eb"


def test_every_line_counts_beside_a_lone_quote():
    table = CASES / "cv_lone_quote.tsv"
    if not table.exists():
        pytest.skip("needs the shared cases")
    rule = speaker_rule(f"csv:{table}")
    assert [rule(f"n{index}.wav") for index in range(6)] == ["ann", "ann", "bob", "bob", "bob", "ann"]


def test_the_whole_path_decides_between_files_of_one_name(tmp_path):
    (tmp_path / "who.csv").write_text("c/ann/0.wav,ann\nc/bo/0.wav,bo\n", encoding="utf-8")
    rule = speaker_rule(f"csv:{tmp_path / 'who.csv'}")
    assert (rule("0.wav", "/data/c/ann/0.wav"), rule("0.wav", "/data/c/bo/0.wav")) == ("ann", "bo")
    with pytest.raises(NoSpeakerError, match="several"):
        rule("0.wav", "/data/0.wav")


def test_a_file_of_the_same_name_in_another_folder_is_not_meant(tmp_path):
    (tmp_path / "who.csv").write_text("a/0.wav,ann\n", encoding="utf-8")
    with pytest.raises(NoSpeakerError, match="no line"):
        speaker_rule(f"csv:{tmp_path / 'who.csv'}")("b/0.wav")


LIBRISPEECH = """;
; Some pipe(|) separated metadata about all readers
;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-360  | 25.03 | Kristin LeMoine
60   | M | train-clean-100  | 20.18 | |CBW|Simon
"""
LIBRITTS = "READER\tGENDER\tSUBSET\tNAME\n14\tF\ttrain-clean-360\tKristin LeMoine\n60\tM\tx\tSimon\n"
VCTK = "ID  AGE  GENDER  ACCENTS  REGION COMMENTS\np225  23  F    English    Southern, England\n"
OLD_VCTK = VCTK.replace("p225", "225")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LIBRISPEECH, {"train-clean-100/60/14/60-14-0001.flac": "60", "14_208_000001.wav": "14"}),
        (LIBRITTS, {"train-clean-100/60/14/60_14_000001.wav": "60"}),
        (VCTK, {"wav48/p225/p225_001.wav": "p225", "p225_001_mic1.flac": "p225"}),
        (OLD_VCTK, {"wav48/p225/p225_001.wav": "p225", "225/001.wav": "225"}),
    ],
)
def test_tables_of_readers(tmp_path, text, found):
    (tmp_path / "SPEAKERS.TXT").write_text(text, encoding="utf-8")
    rule = speaker_rule(f"csv:{tmp_path / 'SPEAKERS.TXT'}")
    assert {name: rule(name) for name in found} == found
    with pytest.raises(NoSpeakerError, match=r"SPEAKERS.TXT lists none"):
        rule("other/x_1.wav")


def test_a_filelist_without_speakers_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("LJ001|One, two, three, four|One two three four\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column of speakers"):
        speaker_rule(f"csv:{tmp_path / 'metadata.csv'}")


def test_a_table_of_one_column_is_refused(tmp_path):
    (tmp_path / "who.csv").write_text("ann\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"each line of .* a file and a speaker"):
        speaker_rule(f"csv:{tmp_path / 'who.csv'}")


def test_an_unreadable_table_gives_one_line(tmp_path):
    (tmp_path / "who.csv").write_text("0.wav," + "x" * 200_000 + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"--speakers cannot read .*: field larger than field limit"):
        speaker_rule(f"csv:{tmp_path / 'who.csv'}")
    (tmp_path / "who.csv").write_bytes("0.wav,Zo\u00eb\n".encode("latin-1"))
    with pytest.raises(UserError, match="it is not text in UTF-8 or UTF-16"):
        speaker_rule(f"csv:{tmp_path / 'who.csv'}")

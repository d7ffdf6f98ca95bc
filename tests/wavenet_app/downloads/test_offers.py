import sys

import pytest
import typer

VOC_OFFER = "error: voc is not here (2.0 GB, research use). Get it: wavegen data get voc\n"


@pytest.mark.parametrize("command", [("seg-train", "voc"), ("seg-check", "VOC")])
def test_an_absent_image_set_is_offered(command, wavegen):
    outcome = wavegen(*command)
    assert (outcome.code, outcome.err) == (2, VOC_OFFER)


@pytest.mark.parametrize("name", ["ljspeech", "speech/ljspeech", "speech/LJSpeech-1.1"])
def test_an_absent_speech_set_is_offered(name, wavegen):
    for command in ("train", "inspect"):
        outcome = wavegen(command, name)
        assert outcome.code == 2
        assert outcome.err == (
            "error: ljspeech is not here (2.7 GB, public domain). Get it: wavegen data get ljspeech\n"
        )


def test_the_offer_names_another_data_folder(wavegen, tmp_path):
    outcome = wavegen("seg-check", "voc", "--data-dir", tmp_path / "my data")
    assert outcome.err.endswith(f"Get it: wavegen data get voc --data-dir '{tmp_path}/my data'\n")


@pytest.fixture
def terminal(monkeypatch):
    """Lets the three streams be a terminal, in which the answers are given."""

    def answer(yes):
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(typer, "confirm", lambda *_, **__: yes)

    return answer


def test_in_a_terminal_the_set_is_fetched_and_the_command_runs(served, wavegen, terminal):
    terminal(True)
    outcome = wavegen("inspect", "ljspeech")
    assert outcome.code == 0
    assert "ljspeech is ready" in outcome.out
    assert "12 " in outcome.out


def test_in_a_terminal_no_ends_the_command(served, wavegen, terminal):
    terminal(False)
    outcome = wavegen("seg-check", "voc")
    assert outcome.code == 2
    assert not served.asked


def test_cityscapes_is_offered_without_a_question(served, wavegen, terminal):
    terminal(True)
    outcome = wavegen("seg-check", "cityscapes")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "Get it: wavegen data get cityscapes" in outcome.err

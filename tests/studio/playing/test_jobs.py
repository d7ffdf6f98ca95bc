"""Clips that are made: equal to the command's, steered, and dropped when nobody listens."""

import json
import shlex
import time

import numpy as np
import pytest
import soundfile
from in_process import exit_code
from served_studio import Served, eventually


@pytest.fixture
def typed(monkeypatch, capsysbinary, data, tmp_path):
    """Runs a command line that the page shows, in this process, and returns its samples without the WAV's header."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> np.ndarray:
        words, _, target = line.partition(" > ")
        assert target.endswith("-seed5.wav") or target.endswith(f"-seed{2**62}.wav")
        assert exit_code(monkeypatch, *shlex.split(words)[1:], "--data-dir", data) == 0
        return np.frombuffer(capsysbinary.readouterr().out[44:], "<i2")

    return run


def play(studio: Served, **changes: object) -> np.ndarray:
    answer = studio.post("/api/play", {**REQUEST, **changes})
    assert answer.status == 200, answer.body
    return np.frombuffer(answer.body, "<i2")


REQUEST = {
    "client": "visitor",
    "job": "one",
    "model": "noise",
    "engine": "torch",
    "seconds": 0.2,
    "seed": 5,
    "paced": False,
}

CLIPS = [
    {},
    {"temperature": 0.7, "seed": 2**62},
    {"temperature": 0.7, "quiet_temperature": 1.4},
    {"top_k": 9, "top_p": 0.9},
    {"min_p": 0.05, "seconds": 0.1237},
    {"model": "pair"},
    {"model": "pair", "speakers": [0, 2]},
    {"model": "pair", "speakers": [0.3, 0.1]},
    {"engine": "auto"},
]


@pytest.mark.parametrize("changes", CLIPS)
def test_the_samples_equal_those_of_the_command_that_is_shown(studio: Served, typed, changes):
    heard = play(studio, **changes)
    assert len(np.unique(heard)) > 20
    np.testing.assert_array_equal(heard, typed(studio.post("/api/command", {**REQUEST, **changes}).json["command"]))


def test_a_recording_is_continued_as_the_command_does(studio: Served, typed, tmp_path, write_tone):
    tone = write_tone(tmp_path / "a tone.wav", seconds=0.3, sample_rate=11_025)
    sent = studio.post("/api/clips?client=visitor&name=a%20tone.wav", tone.read_bytes()).json
    assert sent["seconds"] == pytest.approx(0.3, abs=0.01)
    heard = play(studio, clip=sent["key"])
    assert not np.array_equal(heard, play(studio))
    line = studio.post("/api/command", {**REQUEST, "clip": sent["key"]}).json["command"]
    assert "--prime 'a tone.wav'" in line
    np.testing.assert_array_equal(heard, typed(line))


def test_sound_arrives_before_the_clip_is_made_and_no_faster_than_it_is_played(studio: Served):
    connection = studio.connect()
    connection.request(
        "POST",
        "/api/play",
        json.dumps({**REQUEST, "job": "live", "seconds": 1.0, "paced": True}),
        {"content-type": "application/json"},
    )
    response = connection.getresponse()
    began = time.monotonic()
    first = response.read(2 * 240)
    assert len(first) == 2 * 240
    rest = response.read()
    assert len(first) + len(rest) == 2 * 8_000
    assert time.monotonic() - began > 0.5
    connection.close()


def test_steering_is_heard_within_half_a_second(studio: Served):
    """At temperature 0 this net repeats itself; at 1 it makes noise. The change comes while it speaks."""
    connection = studio.connect()
    connection.request(
        "POST",
        "/api/play",
        json.dumps({**REQUEST, "job": "steered", "seconds": None, "paced": True, "temperature": 0}),
        {"content-type": "application/json"},
    )
    response = connection.getresponse()
    began = time.monotonic()
    samples = np.frombuffer(response.read(2 * 4_000), "<i2")
    steered = studio.post("/api/steer", {"client": "visitor", "job": "steered", "temperature": 1.0})
    assert steered.status == 200
    played = 8_000 * (time.monotonic() - began)
    at = steered.json["from_sample"]
    assert at - played < 4_000  # half a second
    samples = np.concatenate([samples, np.frombuffer(response.read(2 * 8_000), "<i2")])
    assert np.array_equal(samples[:at], play(studio, temperature=0, seconds=at / 8_000)[:at])
    later = samples[at + 240 :]
    assert len(np.unique(later)) > 2 * len(np.unique(samples[:at]))
    assert studio.post("/api/stop", {"client": "visitor", "job": "steered"}).status == 200
    connection.close()


def test_a_closed_connection_frees_its_work_within_two_seconds(studio: Served):
    connection = studio.connect()
    connection.request(
        "POST",
        "/api/play",
        json.dumps({**REQUEST, "job": "closed", "seconds": None, "paced": True}),
        {"content-type": "application/json"},
    )
    response = connection.getresponse()
    response.read(480)
    steer = {"client": "visitor", "job": "closed", "temperature": 0.5}
    assert studio.post("/api/steer", steer).status == 200
    response.close()
    connection.close()
    assert eventually(lambda: studio.post("/api/steer", steer).status == 404, 2.0)


MISTAKES = [
    ({"model": "nothing"}, "is called 'nothing'"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": 0, "quiet_temperature": 1}, "set both to 0"),
    ({"seconds": 0}, "seconds"),
    ({"seed": -1}, "seed"),
    ({"engine": "steam"}, "there is no engine 'steam'"),
    ({"precision": "int7"}, "there is no precision 'int7'"),
    ({"speakers": [1, 2]}, "0 speakers"),
    ({"model": "pair", "speakers": [1]}, "2 speakers, not 1"),
    ({"model": "pair", "speakers": [0, 0]}, "turn one up"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("changes", "said"), MISTAKES)
def test_a_mistake_is_one_line(studio: Served, changes, said):
    answer = studio.post("/api/play", {**REQUEST, "job": "wrong", **changes})
    assert answer.status == 400
    assert said in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert studio.post("/api/stop", {"client": "visitor", "job": "wrong"}).status == 404


def models(studio: Served) -> dict:
    """Returns the list, once all files have been read."""
    assert eventually(lambda: not studio.get("/api/models").json["unread"], 30)
    return studio.get("/api/models").json


def test_the_list_of_models(studio: Served, data):
    found = models(studio)
    assert [(model["name"], model["kind"]) for model in found["models"]] == [
        ("wavenet_noise.pth", "export"),
        ("wavenet_pair.pth", "export"),
    ]
    assert found["models"][1]["speakers"] == ["ann", "jo"]
    broken = data / "pretrained" / "wavenet_broken.pth"
    broken.write_bytes(b"nothing")
    try:
        assert "wavenet_broken.pth" in models(studio)["problems"][0]
    finally:
        broken.unlink()


def test_samples_become_a_flac(studio: Served, tmp_path):
    samples = play(studio)
    answer = studio.post("/api/flac?rate=8000", samples.tobytes())
    (tmp_path / "a.flac").write_bytes(answer.body)
    found, rate = soundfile.read(tmp_path / "a.flac", dtype="int16")
    assert rate == 8_000
    np.testing.assert_array_equal(found, samples)
    assert studio.post("/api/flac?rate=8000", b"").status in (400, 411)
    assert studio.post("/api/flac?rate=7", b"ab").status == 400

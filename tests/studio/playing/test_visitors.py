"""Visitors: what they see, what ends with them, and ten at once."""

import http.client
import json
import threading

import numpy as np
from served_studio import Served, eventually

JSON = {"content-type": "application/json"}


def events(studio: Served, client: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = studio.connect()
    connection.request("GET", f"/api/events?client={client}")
    return connection, connection.getresponse()


def state(response: http.client.HTTPResponse) -> dict:
    while True:
        line = response.readline()
        if line.startswith(b"data: "):
            return json.loads(line[6:])


def now(studio: Served, client: str = "looking") -> dict:
    """Returns what a page sees that has just opened."""
    connection, stream = events(studio, client)
    found = state(stream)
    stream.close()
    connection.close()
    return found


def request(**changes: object) -> dict:
    clip = {"model": "noise", "seconds": None, "paced": True, "engine": "auto"}
    return {"client": "page", "job": "clip", **clip, **changes}


def test_a_page_sees_its_clip_and_a_closed_page_ends_it(studio: Served, write_tone, tmp_path):
    connection, stream = events(studio, "page")
    assert state(stream)["jobs"] == []
    tone = write_tone(tmp_path / "a.wav").read_bytes()
    sent = studio.post("/api/clips?client=page&name=a.wav", tone).json
    assert len(list(studio.scratch.iterdir())) == 1
    playing = studio.connect()
    playing.request("POST", "/api/play", json.dumps(request()), JSON)
    sound = playing.getresponse()
    sound.read(1_000)
    while not (found := state(stream))["jobs"] or found["jobs"][0]["state"] != "playing":
        pass
    assert found["jobs"][0]["job"] == "clip"
    assert found["running"] == 1
    stream.close()
    connection.close()  # only the stream of events: the browser closes the other one when it likes
    steer = {"client": "page", "job": "clip", "temperature": 0.5}
    assert eventually(lambda: studio.post("/api/steer", steer).status == 404, 2.0)
    assert eventually(lambda: list(studio.scratch.iterdir()) == [], 2.0)
    assert studio.get(f"/api/clips/{sent['key']}?rate=8000").status == 404
    playing.close()


def test_who_waits_sees_the_place_and_no_visitor_keeps_the_others_out(studio: Served):
    """Clips that are slow to make, more than this machine has cores, so some wait."""
    connections = []
    pages = [events(studio, f"many{number}")[0] for number in range(8)]

    def play(client: str, job: str) -> http.client.HTTPConnection:
        connection = studio.connect()
        connection.request("POST", "/api/play", json.dumps(request(client=client, job=job, engine="torch")), JSON)
        return connection

    connections += [play("many0", f"job{number}") for number in range(9)]
    refused = connections[-1].getresponse()
    assert refused.status == 429
    assert b"8 of your clips are made or wait already" in refused.read()
    connections += [play(f"many{visitor}", f"job{number}") for visitor in range(1, 8) for number in range(8)]
    assert eventually(lambda: now(studio)["clips"] == 64)
    assert studio.post("/api/play", request(client="other", seconds=0.1)).status == 503
    assert eventually(lambda: sum(now(studio)[key] for key in ("running", "waiting")) == 64, 60.0)
    found = now(studio, "many7")
    places = [job["place"] for job in found["jobs"] if job["place"]]
    assert len(places) == len(set(places))
    assert max(places, default=0) <= found["waiting"]
    assert places != [] or found["waiting"] == 0
    for connection in [*connections, *pages]:
        connection.close()
    assert eventually(lambda: now(studio)["clips"] == 0, 10.0), "nothing of closed pages goes on"


def test_ten_visitors_at_once_all_hear_their_own_clip(studio: Served):
    heard: dict[int, bytes] = {}

    def visit(number: int) -> None:
        clip = request(client=f"visitor{number}", job="one", seconds=0.5, seed=number)
        heard[number] = studio.post("/api/play", clip).body

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(heard) == list(range(10))
    for number, body in heard.items():
        alone = studio.post("/api/play", request(client="alone", job="one", seconds=0.5, seed=number, paced=False)).body
        np.testing.assert_array_equal(np.frombuffer(body, "<i2"), np.frombuffer(alone, "<i2"))
    assert len(set(heard.values())) == 10

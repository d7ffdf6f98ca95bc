"""Visitors: what they are told, what ends with them, and ten at once."""

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


def request(**changes: object) -> dict:
    clip = {"model": "noise", "seconds": None, "paced": True, "engine": "auto"}
    return {"client": "page", "job": "clip", **clip, **changes}


def test_a_page_is_told_of_its_clip_and_a_closed_page_ends_it(studio: Served, write_tone, tmp_path):
    connection, told = events(studio, "page")
    assert state(told)["jobs"] == []
    tone = write_tone(tmp_path / "a.wav").read_bytes()
    sent = studio.post("/api/clips?client=page&name=a.wav", tone).json
    assert len(list(studio.scratch.iterdir())) == 1
    playing = studio.connect()
    playing.request("POST", "/api/play", json.dumps(request()), JSON)
    sound = playing.getresponse()
    sound.read(1_000)
    while not (found := state(told))["jobs"] or found["jobs"][0]["state"] != "playing":
        pass
    assert found["jobs"][0]["job"] == "clip"
    assert found["running"] == 1
    told.close()
    connection.close()  # only the stream of events: the browser closes the other one when it likes
    steer = {"client": "page", "job": "clip", "temperature": 0.5}
    assert eventually(lambda: studio.post("/api/steer", steer).status == 404, 2.0)
    assert eventually(lambda: list(studio.scratch.iterdir()) == [], 2.0)
    assert studio.get(f"/api/clips/{sent['key']}?rate=8000").status == 404
    playing.close()


def test_who_waits_is_told_the_place(studio: Served):
    """Clips that are slow to make, more than this machine has cores, so some wait."""
    connections = []
    told_by, told = events(studio, "many")
    for number in range(70):
        connection = studio.connect()
        clip = request(client="many", job=f"job{number}", engine="torch")
        connection.request("POST", "/api/play", json.dumps(clip), JSON)
        connections.append(connection)
    assert connections[-1].getresponse().status == 503  # one visitor cannot take all
    found = state(told)
    places = sorted(job["place"] for job in found["jobs"] if job["place"])
    while not places:
        found = state(told)
        places = sorted(job["place"] for job in found["jobs"] if job["place"])
    assert places == list(range(1, len(places) + 1))
    for connection in connections:
        connection.close()
    told_by.close()
    assert eventually(lambda: studio.post("/api/stop", {"client": "many", "job": "job0"}).status == 404, 5.0)


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

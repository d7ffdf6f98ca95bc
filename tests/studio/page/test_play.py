"""The page Play in a real browser: what is heard, when, and what ends with it."""

import socket
import threading

import numpy as np
import pytest
import soundfile
import uvicorn
from served_studio import Served, eventually
from studio_page import opened, set_slider, until

from studio.server.app import create_studio
from studio.web.access import Access
from wavenet_app.core.data_folder import DataFolder

pytestmark = pytest.mark.slow


def heard(page) -> np.ndarray:
    """Returns the samples that the page has received."""
    return np.array(page.evaluate("Array.from(studioClip.samples)"), np.int16)


def choose(page, **values: str) -> None:
    for name, value in values.items():
        element = page.locator(f"#play-{name}")
        element.select_option(value) if element.evaluate("e => e.tagName") == "SELECT" else element.fill(value)


def test_sound_arrives_before_the_clip_is_made(page):
    choose(page, length="4")
    page.click("#play-button")
    until(page, "globalThis.studioClip && studioClip.firstSound !== undefined && studioClip.firstSound")
    until(page, "studioClip.ended")
    assert page.evaluate("studioClip.ended - studioClip.firstSound") > 2_000
    until(page, "document.querySelector('#play-status').textContent === 'Done.'")
    assert page.inner_text("#play-heard") == "4.0 s"
    assert page.inner_text("#play-underruns") == str(page.evaluate("studioClip.underruns"))


def test_the_samples_equal_those_of_the_command_and_of_the_saved_files(page, studio: Served, saved):
    choose(page, length="4", seed="7")
    set_slider(page, "#play-temperature", 0.8)
    set_slider(page, "#play-quiet", 0.9)
    set_slider(page, "#play-top-k", 4)
    page.click("#play-button")
    until(page, "globalThis.studioClip && studioClip.ended")
    until(page, "document.querySelector('#play-status').textContent === 'Done.'")
    line = "--seconds 4 --seed 7 --temperature 0.8 --quiet-temperature 0.9 --top-k 16 --stdout"
    until(page, f"document.querySelector('#play-command').textContent.includes('{line}')")
    clip = {"client": "a", "job": "b", "model": "wavenet_noise.pth", "seconds": 4, "seed": 7}
    chosen = {"temperature": 0.8, "quiet_temperature": 0.9, "top_k": 16}
    body = studio.post("/api/play", {**clip, **chosen, "paced": False}).body  # equal to the command's: test_jobs.py
    samples = heard(page)
    np.testing.assert_array_equal(samples, np.frombuffer(body, "<i2"))
    for button in ("#play-wav", "#play-flac"):
        found, rate = soundfile.read(saved(page, button), dtype="int16")
        assert rate == 8_000
        np.testing.assert_array_equal(found, samples)


TURN = """(value) => {
  const slider = document.querySelector("#play-temperature");
  slider.value = value;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
  return studioClip.length / studioClip.rate;
}"""


def test_a_change_of_temperature_is_heard_while_it_plays(page):
    choose(page, length="")
    set_slider(page, "#play-temperature", 0)
    leads = []
    for _ in range(3):  # a busy machine may delay one
        page.click("#play-button")
        until(page, "globalThis.studioClip && !studioClip.changed && studioClip.length > studioClip.rate")
        at = page.evaluate(TURN, 1)
        changed = until(page, "studioClip.changed")
        leads.append(changed - at)
        until(page, f"studioClip.length > {changed + 1} * studioClip.rate")
        page.click("#play-button")
        samples, rate = heard(page), 8_000
        before, after = samples[: int(changed * rate)], samples[int((changed + 0.1) * rate) :]
        assert len(np.unique(after)) > 2 * len(np.unique(before))
        until(page, "document.querySelector('#play-command-note').textContent.includes('only up to there')")
        page.evaluate(TURN, 0)
    assert min(leads) < 2  # half a second on a machine that is free


def test_a_mix_of_speakers_is_shown_and_told(page, studio: Served):
    choose(page, model="wavenet_pair.pth", length="4")
    assert page.locator("#play-speakers input").count() == 2
    set_slider(page, "#play-speakers label:nth-of-type(2) input", 0.5)
    page.click("#play-button")
    until(page, "globalThis.studioClip && studioClip.length > 4000")
    until(page, "document.querySelector('#play-command').textContent.includes('--speaker ann:1,jo:0.5 ')")
    page.click("#play-button")


def test_a_stopped_clip_has_a_command_for_what_was_heard(page):
    choose(page, length="")
    page.click("#play-button")
    until(page, "globalThis.studioClip && studioClip.length > 6000")
    until(page, "document.querySelector('#play-command').textContent.includes('--forever')")
    page.click("#play-button")
    length = page.evaluate("studioClip.length")
    until(page, f"document.querySelector('#play-command').textContent.includes('--seconds {length / 8_000!r} ')")


def test_a_closed_tab_frees_its_work_within_two_seconds(browser, studio: Served):
    for page in opened(browser, studio):
        choose(page, length="")
        page.click("#play-button")
        until(page, "globalThis.studioClip && studioClip.length > 2000")
        job = page.evaluate("studioClip.job")
        client = page.evaluate("import('./page/server.js').then((m) => m.client)")
        steer = {"client": client, "job": job, "temperature": 0.5}
        assert studio.post("/api/steer", steer).status == 200
        page.close()
        assert eventually(lambda: studio.post("/api/steer", steer).status == 404, 2.0)  # noqa: B023


def test_ten_visitors_at_once_play_without_an_error(browser, studio: Served):
    pages, windows = [], []
    for _ in range(10):
        window = opened(browser, studio)
        windows.append(window)
        pages.append(next(window))
    for page in pages:
        choose(page, length="4")
        page.click("#play-button")
    for page in pages:
        until(page, "document.querySelector('#play-status').textContent === 'Done.'", 60)
        assert page.evaluate("studioClip.length") == 32_000
    assert "10 visitors" in pages[0].inner_text("#here")
    for window in windows:
        list(window)


def test_a_stopped_studio_says_so_and_the_page_connects_again(browser, data, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def begin() -> tuple[uvicorn.Server, threading.Thread, object]:
        studio = create_studio(Access("127.0.0.1", port, None), DataFolder(data), tmp_path)
        config = uvicorn.Config(studio.app, port=port, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert eventually(lambda: server.started, 20)
        return server, thread, studio

    def end(server, thread, studio) -> None:
        studio.visitors.closing.set()
        server.should_exit = True
        thread.join(10)

    first = begin()
    for page in opened(browser, Served(port, tmp_path, Access("127.0.0.1", port, None))):
        choose(page, length="")
        page.click("#play-button")
        until(page, "globalThis.studioClip && studioClip.length > 2000")
        end(*first)
        until(page, "!document.querySelector('#stopped').hidden")
        until(page, "document.querySelector('#play-button').textContent === 'Play'")
        second = begin()
        until(page, "document.querySelector('#stopped').hidden", 30)
        page.wrong.clear()  # the browser itself reports the connections that failed
        choose(page, length="4")
        page.click("#play-button")
        until(page, "studioClip.ended && studioClip.length === 32000")
        end(*second)
        page.close()  # before it reports more of them
        page.wrong.clear()


KEPT = """async () => {
  const { ClipStream } = await import("/page/clip.js");
  const clip = new ClipStream({ model: "wavenet_noise.pth", seconds: 4, seed: 1, paced: false }, 1);
  const most = [];
  await clip.start();
  await clip.read(() => most.push(clip.length));
  return [Math.max(...most), clip.length, clip.dropped, clip.seconds, Array.from(clip.samples)];
}"""


def test_a_long_clip_keeps_only_its_end(module_page, studio: Served):
    """With a second in the place of the minutes that the page keeps."""
    most, kept, dropped, seconds, samples = module_page.evaluate(KEPT)
    assert 8_000 <= kept <= most  # whole parts are dropped, and a part is what the network brings at once
    assert (kept + dropped, seconds) == (4 * 8_000, 4)
    clip = {"client": "a", "job": "b", "model": "wavenet_noise.pth", "seconds": 4, "seed": 1, "paced": False}
    whole = np.frombuffer(studio.post("/api/play", clip).body, "<i2")
    np.testing.assert_array_equal(samples, whole[-kept:])


def test_the_spectrogram_goes_on_when_the_start_is_dropped(page):
    """The page draws by absolute positions, so that dropping does not set it back."""
    choose(page, length="")
    page.evaluate("globalThis.studioClip = undefined")
    page.click("#play-button")
    until(page, "globalThis.studioClip && studioClip.rate")
    page.evaluate("studioClip.keptSeconds = 0.5")
    until(page, "studioClip.dropped > 2 * studioClip.rate && studioClip.length < 1.5 * studioClip.rate")
    drawn = "document.querySelector('#play-spectrum').toDataURL()"
    before = page.evaluate(drawn)
    until(page, f"{drawn} !== {before!r}")
    page.click("#play-button")
    until(page, "document.querySelector('#play-command-note').textContent.startsWith('Saving keeps the last')")

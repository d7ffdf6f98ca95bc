"""Every tab in a real browser: what it does, by mouse and by keyboard, and how it answers mistakes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from image_sets import picture, save
from served_studio import Served, served
from studio_page import opened, until

from segmentation.checkpoints.pretrained import KIND
from segmentation.checkpoints.segmenter import ClassTable
from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.datasets.formats.shapes import CLASSES, ShapesDataset
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from segmentation.network.deeplab import build_model
from wavenet_app.core.checkpoint import write_checkpoint

pytestmark = pytest.mark.slow

NAMELESS = """(tab) => [...document.querySelectorAll(`#${tab} :is(input, select, button, audio, canvas)`)]
  .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim()))
  .map((one) => one.outerHTML)"""

TABS = ["play", "continue", "compare", "train", "segment", "see"]


def test_tabs_are_reached_by_keyboard(page):
    page.focus("#tab-play")
    for name in TABS[1:]:
        page.keyboard.press("ArrowRight")
        until(page, f"document.activeElement.id === 'tab-{name}' && !document.querySelector('#{name}').hidden")
        until(page, f"document.querySelector('#{name}').childElementCount")
    page.keyboard.press("Home")
    until(page, "!document.querySelector('#play').hidden")
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#play').contains(document.activeElement)")


def test_every_control_has_a_name(page):
    for name in TABS:
        page.click(f"#tab-{name}")
        until(page, f"document.querySelector('#{name}').childElementCount")
        nameless = page.evaluate(NAMELESS, name)
        assert nameless == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_wrong(browser, studio: Served, width, scheme):
    script = Path(pytest.importorskip("axe_playwright_python").__file__).with_name("axe.min.js")
    window = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    for page in opened(browser, studio, bypass_csp=True, **window):  # which would not let axe in
        page.add_script_tag(path=script)
        for name in TABS:
            page.click(f"#tab-{name}")
            until(page, f"document.querySelector('#{name}').childElementCount")
            page.wait_for_timeout(500)
            found = page.evaluate("axe.run(document).then((report) => [report.passes.length, report.violations])")
            assert found[0] > 20
            assert found[1] == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_tab_is_wider_than_the_screen(browser, studio: Served, width, scheme):
    for page in opened(browser, studio, viewport={"width": width, "height": 800}, color_scheme=scheme):
        for name in TABS:
            page.click(f"#tab-{name}")
            until(page, f"document.querySelector('#{name}').childElementCount")
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_the_page_is_light_and_asks_no_one_else(browser, studio: Served):
    asked: dict[str, int] = {}
    window = browser.new_context()
    page = window.new_page()
    page.on(
        "response", lambda answer: asked.update({answer.url: len(answer.body() if "events" not in answer.url else b"")})
    )
    page.goto(f"http://127.0.0.1:{studio.port}/")
    for name in TABS:
        page.click(f"#tab-{name}")
        until(page, f"document.querySelector('#{name}').childElementCount")
    assert all(url.startswith(f"http://127.0.0.1:{studio.port}/") for url in asked)
    assert sum(asked.values()) < 200_000
    window.close()


def test_a_wrong_token_gets_nothing_and_the_right_one_a_page(browser, data, tmp_path):
    with served(data, tmp_path, host="0.0.0.0", token="secret") as studio:
        window = browser.new_context()
        page = window.new_page()
        answer = page.goto(f"http://127.0.0.1:{studio.port}/wrong/")
        assert answer.status == 403
        assert "token" in page.content()
        page.goto(f"http://127.0.0.1:{studio.port}/secret/")
        until(page, "document.querySelector('#play-model').options.length")
        page.click("#play-button")
        until(page, "globalThis.studioClip && studioClip.length > 2000")
        window.close()


def test_a_page_of_another_site_gets_nothing(browser, studio: Served, tmp_path):
    window = browser.new_context()
    page = window.new_page()
    page.route(
        "http://evil.example/", lambda route: route.fulfill(body="<title>evil</title>", content_type="text/html")
    )
    page.goto("http://evil.example/")
    steal = """async ([path, method]) => { try {
      const answer = await fetch(path, {method, mode: "no-cors", body: method === "POST" ? "{}" : undefined});
      return answer.type; } catch (error) { return "failed"; } }"""
    for path, method in (("/api/models", "GET"), ("/api/training/start", "POST"), ("/api/flac?rate=8000", "POST")):
        assert page.evaluate(steal, [f"http://127.0.0.1:{studio.port}{path}", method]) in ("opaque", "failed")
    assert studio.get("/api/training").json["training"]["name"] is None
    window.close()


def test_a_recording_is_continued_and_heard_beside_it(page, tmp_path, write_tone, saved):
    page.click("#tab-continue")
    until(page, "document.querySelector('#continue-file')")
    page.set_input_files("#continue-file", write_tone(tmp_path / "tone.wav", seconds=1.0))
    until(page, "!document.querySelector('#continue-go').disabled")
    page.select_option("#continue-length", "2")
    page.click("#continue-go")
    until(page, "!document.querySelector('#continue-save').disabled")
    found, rate = soundfile.read(saved(page, "#continue-save"), dtype="int16")
    assert (len(found), rate) == (3 * 8_000, 8_000)
    assert len(np.unique(found[8_000:])) > 20
    page.click("#continue-both")
    for key, heard in (("b", "result"), ("x", "original"), ("a", "original"), ("x", "result")):
        page.keyboard.press(key)
        until(page, f"document.querySelector('#continue-{heard}').getAttribute('aria-pressed') === 'true'")


def test_a_recording_from_the_microphone(page):
    page.click("#tab-continue")
    until(page, "document.querySelector('#continue-record')")
    page.click("#continue-record")
    until(page, "document.querySelector('#continue-record').textContent === 'Stop recording'")
    page.wait_for_timeout(1_200)
    page.click("#continue-record")
    until(page, "!document.querySelector('#continue-go').disabled")
    assert "recording.webm" in page.inner_text("#continue")


def test_a_bad_and_an_oversized_recording_are_one_line(page, studio: Served, tmp_path):
    page.click("#tab-continue")
    until(page, "document.querySelector('#continue-file')")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    page.set_input_files("#continue-file", bad)
    until(page, "document.querySelector('#continue-status').classList.contains('error')")
    assert page.inner_text("#continue-status").startswith("bad.wav: ")
    page.wrong.clear()  # the browser reports every refused request
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(65 * 2**20)
    page.set_input_files("#continue-file", large)
    until(page, "document.querySelector('#continue-status').textContent.includes('too large')")
    said = page.evaluate(
        "fetch('api/clips?client=a&name=x', {method: 'POST', body: new Blob([new Uint8Array(65 * 2 ** 20)])})"
        ".then(async (answer) => [answer.status, (await answer.json()).error])"
    )
    assert said[0] == 413
    assert "at most" in said[1]
    page.wrong.clear()
    assert list(studio.scratch.iterdir()) == []


def test_a_blind_comparison_counts_votes(page):
    page.click("#tab-compare")
    until(page, "document.querySelector('#compare-start')")
    page.click("#compare-start")
    names = []
    for count in range(1, 4):
        until(page, "!document.querySelector('#compare-play-1').disabled")
        assert page.locator("text=1 sounds better").is_disabled()
        page.click("#compare-play-1")
        page.click("#compare-play-2")
        names.append(until(page, "studioTrial.names")[0])
        until(
            page,
            "![...document.querySelectorAll('button')].find((one) => one.textContent === '1 sounds better').disabled",
        )
        page.click("text=1 sounds better")
        until(page, f"document.querySelector('#compare-status').textContent.startsWith('Trial {count + 1}')")
    page.click("text=Show the tally")
    rows = page.locator("#compare-tally tbody tr").all_inner_texts()
    assert [row.split("\t")[1] for row in rows] == [str(names.count("A")), str(names.count("B")), "0"]
    assert "exact binomial test" in page.inner_text("#compare-tally")


def test_a_run_is_shown_with_its_curve(page, data):
    run = data / "checkpoints" / "voice"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"name": "voice"}')
    (run / "metrics.csv").write_text("step,seconds,train,validation,learning_rate\n1,30,4,4.1,0.1\n2,60,4,3.9,0.1\n")
    page.click("#tab-train")
    until(page, "document.querySelector('#train-verdict')?.textContent.includes('3.900 bits')")
    assert "2 validations" in page.get_attribute("#train-chart", "aria-label")
    page.fill("#train-path", "nowhere at all")
    page.click("#train-start")
    until(page, "document.querySelector('#train-status').classList.contains('error')")
    assert "nowhere at all" in page.inner_text("#train-status")
    page.wrong.clear()


def test_one_press_starts_one_training(page):
    asked = []
    page.route("**/api/training/start", lambda route: (asked.append(1), route.fulfill(json={"name": "voice"})))
    page.click("#tab-train")
    until(page, "document.querySelector('#train-start')")
    page.click("#train-start")
    page.wait_for_timeout(500)
    assert asked == [1]


def test_a_picture_is_labelled(page, data, tmp_path):
    config = SegmentationConfig(
        name="net", model=SegmentationModelConfig(backbone="dilated", aspp_channels=8, num_classes=len(CLASSES))
    )
    content = {
        "config": config.model_dump(mode="json"),
        **ClassTable.of_dataset(ShapesDataset("val", count=1)).to_plain(),
        "normalisation": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "weights": build_model(config.model, torch.Generator().manual_seed(0)).state_dict(),
    }
    path = data / "pretrained" / "deeplab_v3_net.pth"
    write_checkpoint(path, KIND, content)
    save(tmp_path / "a.png", picture())
    page.click("#tab-segment")
    until(page, "document.querySelector('#segment-model')?.options.length")
    page.set_input_files("#segment-file", tmp_path / "a.png")
    until(page, "document.querySelector('#segment-legend td')", 60)
    pixels = "Array.from(document.querySelector('#segment-overlay').getContext('2d').getImageData(0, 0, 40, 30).data)"
    before = page.evaluate(pixels)
    page.fill("#segment-opacity", "100")
    assert page.evaluate(pixels) != before
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page.set_input_files("#segment-file", tmp_path / "bad.png")
    until(page, "document.querySelector('#segment-status').classList.contains('error')")
    assert "bad.png" in page.inner_text("#segment-status")
    page.wrong.clear()
    path.unlink()


def test_what_is_pointed_at_lights_up_by_mouse_and_by_keys(page):
    page.click("#tab-see")
    until(page, "document.querySelector('#see-field')")
    assert page.inner_text("#see-field") == "17 samples"
    assert "17 inputs within 17 samples" in page.inner_text("#see-note")
    page.focus("#see-canvas")
    page.keyboard.press("ArrowDown")
    until(page, "document.querySelector('#see-note').textContent.includes('9 inputs within 9 samples')")
    page.hover("#see-canvas", position={"x": 60, "y": 30})
    page.click("text=Gridding in 2-D")
    until(page, "document.querySelector('#see-field').textContent === '13 \\u00d7 13'")
    assert page.inner_text("#see-holes") == "71.0 %"
    page.click("text=No gridding in 2-D")
    until(page, "document.querySelector('#see-holes').textContent === 'none'")

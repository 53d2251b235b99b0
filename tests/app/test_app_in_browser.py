"""The page in a real browser: a sound goes in, the model's answer comes out, and nothing is fetched
from elsewhere.
"""

import re
import shutil
import socket
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

import crossask

pytest.importorskip("gradio", reason="the page needs gradio: crossask[app]")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="a browser is driven with playwright: crossask[browser]"
)

from crossask.app import outcomes  # noqa: E402
from crossask.app.outcomes import Limits  # noqa: E402
from crossask.app.page import serve  # noqa: E402
from crossask.serving import words  # noqa: E402

# What an exported model of the scenes a and b may say of a sound.
WORDS = "(Very likely|Likely|Most likely|Not sure, perhaps) [ab] "
# Pairs of visible texts of the results and the models that are printed over each other.
OVERLAPS = """
() => {
  const boxes = [];
  for (const place of document.querySelectorAll("#result, .card")) {
    const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      if (!text.textContent.trim() || text.parentElement.closest("dl, pre")) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      for (const box of range.getClientRects()) boxes.push([text.textContent, box]);
    }
  }
  const found = [];
  boxes.forEach(([text, box], number) => {
    for (const [other, otherBox] of boxes.slice(number + 1)) {
      const width = Math.min(box.right, otherBox.right) - Math.max(box.left, otherBox.left);
      const height = Math.min(box.bottom, otherBox.bottom) - Math.max(box.top, otherBox.top);
      if (width > 2 && height > 4) found.push([text, other]);
    }
  });
  return found;
}
"""

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def folder(exports):
    return exports[0]


@pytest.fixture(scope="module")
def browser():
    chromium = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not chromium:
        pytest.skip("needs Chromium or Chrome")
    # a microphone that beeps, and leave to use it
    arguments = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with playwright.sync_playwright() as driver:
        program = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield program
        program.close()


@pytest.fixture(scope="module")
def address(folder):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with serve([folder], port=port) as url:
        yield url


@pytest.fixture(scope="module")
def address_of_two_models(exports):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with serve(exports, port=port, limits=Limits(file_megabytes=1)) as url:
        yield url


@pytest.fixture
def visit(browser, address):
    """Yields a page, the addresses that it requested, and the errors in its console."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    requested = []
    errors = []
    page.on("request", lambda request: requested.append(request.url))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page, requested, errors
    page.close()


def hosts(requested) -> set[str]:
    return {urlsplit(url).hostname for url in requested if not url.startswith(("data:", "blob:"))}


def test_a_visitor_gives_a_sound_and_reads_the_prediction(visit, folder, tmp_path):
    page, requested, errors = visit
    noise = np.random.default_rng(0).normal(0, 0.1, (72000, 2))
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    answer = crossask.load(folder).predict(tmp_path / "noise.wav")
    page.set_input_files("#recording input[type=file]", tmp_path / "noise.wav")
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify", exact=True).click()
    shown = page.locator(".prediction .words").inner_text(timeout=30000)
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == words.in_words(answer)
    assert page.locator(".shown").inner_text() == "noise.wav, 4.5 s"
    first = page.locator(".prediction table").first.locator("tr").first.inner_text().split()
    assert first == [answer.scene, f"{100 * answer.probabilities[answer.scene]:.1f}", "%"]
    assert page.locator(".prediction img").evaluate_all(
        "pictures => pictures.map(p => p.complete && p.naturalWidth > 100)"
    ) == [True, True, True]
    assert "dog" in page.locator(".prediction").inner_text()

    shown = page.locator(".prediction h3").first
    moment = page.locator("#moment input[type=range]")
    moment.focus()
    moment.press("End")
    playwright.expect(shown).to_have_text("Events in the window from 2.5 to 4.5 s", timeout=30000)
    moment.press("Home")
    playwright.expect(shown).to_have_text("Events in the window from 0 to 2 s", timeout=30000)

    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20000
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert hosts(requested) == {"127.0.0.1"}
    assert errors == []


def test_an_example_is_a_click_and_no_sound_is_an_error(visit):
    page, requested, errors = visit
    page.get_by_role("button", name="Classify", exact=True).click()
    playwright.expect(page.get_by_text("There is no recording yet.")).to_be_visible(timeout=30000)
    page.get_by_text("park", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify", exact=True).click()
    assert re.match(WORDS, page.locator(".prediction .words").inner_text(timeout=30000))
    assert hosts(requested) == {"127.0.0.1"}
    assert errors == []


def test_the_microphone_works(visit):
    page, _, errors = visit
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2500)
    # The end of an upload cancels a classification that was started before it.
    with page.expect_response(lambda response: "/upload" in response.url):
        page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify", exact=True).click()
    assert re.match(WORDS, page.locator(".prediction .words").inner_text(timeout=30000))
    assert errors == []


def test_a_new_recording_clears_the_old_prediction(visit):
    page, _, errors = visit
    page.get_by_text("park", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify", exact=True).click()
    page.locator(".prediction .words").wait_for(timeout=30000)
    page.get_by_text("airport", exact=True).click()
    playwright.expect(page.locator(".prediction")).to_have_count(0, timeout=30000)
    assert errors == []


def test_a_prediction_that_comes_after_another_recording_was_chosen_is_not_shown(
    visit, monkeypatch
):
    page, _, errors = visit
    started = threading.Event()
    may_end = threading.Event()
    classify = outcomes.classify

    def classify_slowly(*arguments):
        started.set()
        assert may_end.wait(60)
        return classify(*arguments)

    monkeypatch.setattr(outcomes, "classify", classify_slowly)
    page.get_by_text("park", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify", exact=True).click()
    assert started.wait(60)
    page.get_by_text("airport", exact=True).click()
    page.wait_for_timeout(1500)
    may_end.set()
    page.wait_for_timeout(5000)
    assert page.locator(".prediction").count() == 0
    page.get_by_role("button", name="Classify", exact=True).click()
    playwright.expect(page.locator(".shown")).to_have_text("airport.wav, 10.0 s", timeout=30000)
    assert errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_two_models_and_several_files_fit_the_screen(
    browser, address_of_two_models, tmp_path, width
):
    for number in range(2):
        noise = np.random.default_rng(number).normal(0, 0.1, (64000, 2))
        soundfile.write(tmp_path / f"noise{number}.wav", noise, 16000)
    soundfile.write(tmp_path / "off.wav", np.zeros((32000, 2)), 16000)
    (tmp_path / "text.mp3").write_text("no sound")
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(address_of_two_models)
    page.get_by_role("tab", name="Several files").click()
    page.set_input_files("#several input[type=file]", sorted(tmp_path.iterdir()))
    page.get_by_text("text", exact=False).first.wait_for()
    page.get_by_role("button", name="Classify all").click()
    rows = page.locator(".overview tbody tr")
    playwright.expect(rows).to_have_count(4, timeout=60000)
    assert "Silence: the recording contains no sound" in rows.nth(2).inner_text()
    assert "text.mp3 cannot be read" in rows.nth(3).inner_text()
    playwright.expect(page.locator(".prediction")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(OVERLAPS) == []
    first, second = (page.locator(".prediction").nth(number).bounding_box() for number in (0, 1))
    if width == 390:
        assert second["y"] >= first["y"] + first["height"]
    else:
        assert second["x"] >= first["x"] + first["width"]
    # No pill of gradio's, such as "Error", is printed over the page.
    assert page.locator(".error:visible").count() == 0

    page.locator("#chooser input").click()
    page.get_by_role("option", name="off.wav").click()
    playwright.expect(page.locator(".shown")).to_have_text("off.wav, 2.0 s", timeout=30000)
    with page.expect_download() as download:
        page.locator(".overview .downloads a").first.click()
    assert "noise0.wav" in download.value.path().read_text()
    page.close()


def test_a_file_that_is_too_large_is_refused_and_another_one_can_be_chosen(
    browser, address_of_two_models, tmp_path
):
    for name, seconds in (("large.wav", 30), ("small.wav", 2)):
        noise = np.random.default_rng(0).normal(0, 0.1, (seconds * 16000, 2))
        soundfile.write(tmp_path / name, noise, 16000)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(address_of_two_models)
    page.set_input_files("#recording input[type=file]", tmp_path / "large.wav")
    message = page.get_by_text("exceed the maximum allowed size")
    playwright.expect(message.first).to_be_visible(timeout=30000)
    # Gradio's pill is there, but nobody sees it.
    pill = page.locator("#recording .error")
    playwright.expect(pill).to_have_count(1)
    playwright.expect(pill).to_be_hidden()
    page.set_input_files("#recording input[type=file]", tmp_path / "small.wav")
    page.get_by_label("Play", exact=True).wait_for()
    page.close()

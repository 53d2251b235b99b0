"""The page in a real browser: a sound goes in, the model's answer comes out, and nothing is fetched
from elsewhere.
"""

import shutil
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

import crossask

pytest.importorskip("gradio", reason="the page needs gradio: crossask[app]")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="a browser is driven with playwright: crossask[browser]"
)

from crossask.app.page import serve  # noqa: E402

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


@pytest.fixture
def visit(browser, address):
    """(page, addresses that it asked for, errors in its console)"""
    page, asked, errors = browser.new_page(viewport={"width": 1280, "height": 900}), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page, asked, errors
    page.close()


def hosts(asked) -> set[str]:
    return {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}


def test_a_visitor_gives_a_sound_and_reads_the_prediction(visit, folder, tmp_path):
    page, asked, errors = visit
    noise = np.random.default_rng(0).normal(0, 0.1, (72000, 2))
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    answer = crossask.load(folder).predict(tmp_path / "noise.wav")
    page.set_input_files("#recording input[type=file]", tmp_path / "noise.wav")
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify").click()
    assert page.locator(".prediction .scene").inner_text(timeout=30000).lower() == answer.scene
    first = page.locator(".prediction table").first.locator("tr").first.inner_text().split()
    assert first == [answer.scene, f"{100 * answer.probabilities[answer.scene]:.1f}", "%"]
    assert page.locator(".prediction img").evaluate_all(
        "pictures => pictures.map(p => p.complete && p.naturalWidth > 100)"
    ) == [True, True]
    assert "dog" in page.locator(".prediction").inner_text()

    shown = page.locator(".prediction h3")
    moment = page.locator("#moment input[type=range]")
    moment.focus()
    moment.press("End")
    playwright.expect(shown).to_have_text("Events in the window from 2.5 to 4.5 s", timeout=30000)
    moment.press("Home")
    playwright.expect(shown).to_have_text("Events in the window from 0 to 2 s", timeout=30000)

    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20000
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert hosts(asked) == {"127.0.0.1"}
    assert errors == []


def test_an_example_is_a_click_and_no_sound_is_an_error(visit):
    page, asked, errors = visit
    page.get_by_role("button", name="Classify").click()
    playwright.expect(page.get_by_text("There is no result yet.")).to_be_visible(timeout=30000)
    page.get_by_text("park", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify").click()
    assert page.locator(".prediction .scene").inner_text(timeout=30000).lower() in ("a", "b")
    assert hosts(asked) == {"127.0.0.1"}
    assert errors == []


def test_the_microphone_works(visit):
    page, _, errors = visit
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()
    page.get_by_role("button", name="Classify").click()
    assert page.locator(".prediction .scene").inner_text(timeout=30000).lower() in ("a", "b")
    assert errors == []

"""The page: what it shows, what it refuses, and fifty requests at once."""

import asyncio
import concurrent.futures
import dataclasses
import functools
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import httpx
import media_files
import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

import crossask
from crossask.cli import app
from crossask.errors import CrossaskError

gradio = pytest.importorskip("gradio")
client = pytest.importorskip("gradio_client")

from crossask.app import drawing, examples, fragments, outcomes, page, view  # noqa: E402
from crossask.serving import words  # noqa: E402

LIMITS = outcomes.Limits(file_megabytes=2, files=3)


@pytest.fixture(scope="module")
def models(exports):
    return page.load_models(exports)


@pytest.fixture(scope="module")
def address(exports):
    with page.serve(exports, port=free_port(), limits=LIMITS) as url:
        yield url


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_noise(tmp_path_factory.mktemp("sound") / "a <b>.wav", seconds=4.5)


def test_a_model_predicts_before_the_first_visitor_comes(exports, monkeypatch):
    predicted = []

    def watched(model, source, sample_rate_hz=None):
        predicted.append(model)
        return of_classifier(model, source, sample_rate_hz)

    of_classifier = page.Classifier.predict
    monkeypatch.setattr(page.Classifier, "predict", watched)
    assert list(page.load_models(exports[:1]).values()) == predicted


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def write_noise(path, seed=0, seconds=2.0, rate=16000, channels=2):
    """Writes noise whose colour and level vary with the seed, so that the answers do."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, rng.uniform(0.02, 0.2), (round(seconds * rate), channels))
    share = rng.uniform(0, 0.95)
    soundfile.write(
        path, np.clip((1 - share) * noise + share * np.cumsum(noise, axis=0) * 0.05, -1, 1), rate
    )
    return str(path)


def pixels(png):
    return imread(io.BytesIO(png), format="png")


def results(models, *paths):
    return outcomes.classify(models, [str(path) for path in paths], LIMITS)


def test_it_shows_what_the_model_predicts(models, recording):
    found = results(models, recording)
    html, detail = view.show(models, found)
    assert "a &lt;b&gt;.wav</strong>, 4.5 s" in html
    for (name, model), answer, explanation in zip(
        models.items(), found[0].predictions, detail.explanations, strict=True
    ):
        alone = model.predict(recording)
        assert answer == dataclasses.replace(alone, source="a <b>.wav")
        assert name in html
        text = words.in_words(answer).replace(" %", "\N{NO-BREAK SPACE}%")
        assert f'<p class="words">{text}</p>' in html
        assert all(f"{100 * share:.1f} %" in html for share in answer.probabilities.values())
        assert explanation.start_seconds == answer.explain().start_seconds
    # Of each model the timeline and the explained window, and the events of the first one. Each
    # has a sentence below it, and can be saved.
    assert html.count("<img") == html.count("<figcaption>") == html.count(".png") == 5
    assert all(event in html for event in ("dog", "rain"))
    assert "this model does not use events" in html
    assert "no output layer" in fragments.no_events_text(next(iter(models.values())).card)


def test_another_moment_is_another_window(models, recording):
    found = results(models, recording)
    first, last = (view.show(models, found, at_seconds=moment) for moment in (0.1, 4.4))
    starts = []
    for _, detail in (first, last):
        starts.append([explanation.start_seconds for explanation in detail.explanations])
    assert starts == [[0, 0], [2.5, 2.5]]
    assert first[0] != last[0]
    assert "Log-mel spectrogram and attention, 2.5 to 4.5 s" in last[0]


def test_the_page_shows_a_recording_of_a_phone_and_of_an_odd_rate(models, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (48000 * 5, 2))
    phone = media_files.write(tmp_path / "phone.m4a", noise, 48000, "aac")
    odd = write_noise(tmp_path / "odd.wav", seconds=5.0, rate=12345, channels=6)
    for recording in (phone, odd):
        _, detail = view.show(models, results(models, recording), at_seconds=4.9)
        assert len(detail.explanations) == len(models)
        assert all(why.start_seconds >= 3 for why in detail.explanations)


def test_a_sound_of_one_window_has_no_timeline(models, tmp_path):
    short = write_noise(tmp_path / "short.wav", seconds=1.2)
    html, _ = view.show(models, results(models, short))
    assert "Probabilities over time" not in html


def test_the_page_and_programs_see_that_a_short_recording_was_filled(models, tmp_path, recording):
    short = write_noise(tmp_path / "short.wav", seconds=1.2)
    html, detail = view.show(models, results(models, short))
    assert html.count("was filled with 0.8 s") == 2
    for why in detail.explanations:
        # The log-mel and the attention cover the filled window.
        assert (why.start_seconds, why.end_seconds) == (0, 2)
    json_values = page.results_json(models, short, LIMITS)
    assert [values["filled_seconds"] for values in json_values] == [0.8, 0.8]
    html, _ = view.show(models, results(models, recording))
    assert "was filled" not in html


def test_silence_is_shown_as_silence(models, tmp_path):
    soundfile.write(tmp_path / "off.wav", np.zeros((48000, 2)), 16000)
    found = results(models, tmp_path / "off.wav")
    html, detail = view.show(models, found)
    assert html.count('<p class="words">Silence: the recording contains no sound</p>') == 2
    assert detail.explanations == [None, None]
    assert "<img" not in html
    assert "Probability" not in html
    json_values = page.results_json(models, str(tmp_path / "off.wav"), LIMITS)
    assert [values["silent"] for values in json_values] == [True, True]


def test_several_files_are_a_table_and_each_can_be_shown(models, recording, tmp_path):
    (tmp_path / "text.mp3").write_text("no sound")
    second = write_noise(tmp_path / "second.wav", seed=1)
    found = results(models, tmp_path / "text.mp3", recording, second)
    assert view.usable_names(found) == ["a <b>.wav", "second.wav"]
    html, detail = view.show(models, found)
    assert detail.outcome.name == "a <b>.wav"
    assert "text.mp3 cannot be read as sound" in html
    assert str(tmp_path) not in html
    html, detail = view.show(models, found, "second.wav")
    assert detail.outcome.name == "second.wav"
    assert "second.wav</strong>, 2.0 s" in html
    # Without one that can be used, there is a message instead.
    html, detail = view.show(models, found[:1])
    assert detail is None
    assert '<p class="problem" role="alert">text.mp3 cannot be read' in html


def test_no_problem_with_a_recording_is_an_error_of_a_handler(
    models, recording, tmp_path, monkeypatch
):
    """Gradio prints "Error" over the outputs of a handler that raises one."""
    opened = []

    def seconds_of(paths):
        opened.append(len(paths))
        return 1.0

    monkeypatch.setattr(outcomes, "seconds_of", seconds_of)
    blocks = page.build_page(models, [], LIMITS)
    handlers = {}
    for block_function in blocks.fns.values():
        handlers[block_function.name] = block_function.fn
    upload = write_noise(tmp_path / "upload.wav")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    found = results(models, upload)

    async def ask():
        nothing = await handlers["on_recording"](None)
        too_many = await handlers["on_files"]([upload] * (LIMITS.files + 1))
        unusable = await handlers["on_recording"](str(broken))
        old_page = await handlers["on_moment"](None, None, 1.0)
        os.remove(upload)
        deleted = await handlers["on_moment"](found, "upload.wav", 1.0)
        return nothing, too_many, unusable, old_page, deleted

    nothing, too_many, unusable, old_page, deleted = asyncio.run(ask())
    texts = (nothing[-1], too_many[-1], unusable[-1], old_page, deleted)
    expected = (
        "There is no recording yet",
        f"{LIMITS.files + 1} files are more",
        "broken.wav cannot be read",
        "There is no recording yet",
        "no longer on the server",
    )
    for text, part in zip(texts, expected, strict=True):
        assert text.count('<p class="problem" role="alert">') == 1
        assert part in text
        assert str(tmp_path) not in text
    # Too many files are refused before the first of them is opened.
    assert opened == [1]
    # A new recording clears the results, the chooser and the slider.
    cleared_results, chooser, slider, html = handlers["cleared"]()
    assert (cleared_results, chooser.visible, slider.visible, html) == (None, False, False, "")


def test_the_timeline_is_darkest_where_the_scene_is(models, recording):
    answer = results(models, recording)[0].predictions[0]
    sure, never = {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}
    timeline = tuple(
        dataclasses.replace(part, probabilities=sure if part.start_seconds < 2 else never)
        for part in answer.timeline
    )
    # a, the more probable scene, stands above b
    answer = dataclasses.replace(answer, timeline=timeline, probabilities={"a": 0.6, "b": 0.4})
    picture = pixels(drawing.timeline_png(answer, answer.explain(0)))[..., :3].mean(-1)
    height, width = picture.shape
    upper, lower = picture[height // 6], picture[height // 2]
    assert upper[width // 4] < 0.3 < 0.9 < upper[3 * width // 4]
    assert lower[3 * width // 4] < 0.3 < 0.9 < lower[width // 4]


def test_the_window_is_drawn_with_whatever_the_model_has(models, recording):
    cmam, fa = (answer.explain() for answer in results(models, recording)[0].predictions)
    nothing = dataclasses.replace(fa, log_mel=None, attention={})
    assert drawing.window_png(nothing) is None
    heights = [pixels(drawing.window_png(why)).shape[0] for why in (cmam, fa)]
    assert heights[0] > 1.5 * heights[1]  # the cross-attention below
    bare = pixels(drawing.window_png(dataclasses.replace(fa, attention={})))
    assert not np.array_equal(bare, pixels(drawing.window_png(fa)))
    assert pixels(drawing.window_png(dataclasses.replace(fa, log_mel=None))).shape[0] == heights[1]


def test_two_models_of_one_folder_name_are_distinguished_and_three_are_too_many(
    exports, monkeypatch
):
    monkeypatch.setattr(page, "Classifier", lambda folder, trust_model: str(folder))
    monkeypatch.setattr(page, "_predict_noise", lambda model: None)
    assert list(page.load_models(exports)) == [str(folder) for folder in exports]
    assert list(page.load_models(exports[:1])) == ["model"]
    assert list(page.load_models([exports[0], None])) == ["model", "starter model"]
    with pytest.raises(CrossaskError, match="given twice"):
        page.load_models([exports[0], exports[0]])
    with pytest.raises(CrossaskError, match="is a LiteRT file"):
        page.load_models(["model.tflite"])
    with pytest.raises(CrossaskError, match="3 models"):
        page.load_models([*exports, exports[0]])


@pytest.mark.parametrize("what", ["nothing", "short", "broken"])
def test_an_error_for_a_program_does_not_show_the_path_of_the_file(models, tmp_path, what):
    path, problem = {
        "nothing": (None, "Upload or record a sound"),
        "short": (write_noise(tmp_path / "x.wav", seconds=0.5), "x.wav lasts 0.500 s"),
        "broken": (str(tmp_path / "<b>.wav"), "&lt;b&gt;.wav cannot be read"),
    }[what]
    if what == "broken":
        (tmp_path / "<b>.wav").write_bytes(b"RIFF")
    with pytest.raises(gradio.Error) as error:
        page.results_json(models, path, LIMITS)
    assert problem in error.value.message
    assert str(tmp_path) not in error.value.message


def test_the_examples_are_sounds_of_the_scenes_they_name(tmp_path):
    ((name, path),) = examples.write_examples(
        tmp_path / "examples", (("park, then bus", ("park", "bus")),)
    )
    waveform, rate = soundfile.read(path)
    assert (name, waveform.shape, rate) == ("park, then bus", (20 * 48000, 2), 48000)
    assert {scene for _, scenes in examples.EXAMPLES for scene in scenes} <= set(
        examples.soundscapes.SCENES
    )
    assert np.abs(waveform).max() > 0.01


def test_fifty_requests_at_once_all_get_their_own_prediction(address, exports, tmp_path):
    paths = [
        write_noise(
            tmp_path / f"{number}.wav",
            number,
            1 + number % 5 * 0.8,
            (16000, 44100)[number % 2],
            1 + number % 3 % 2,
        )
        for number in range(50)
    ]
    program = client.Client(address, verbose=False)
    start = threading.Barrier(50)

    def ask(path):
        start.wait()
        return program.predict(client.handle_file(path), api_name="/listen")

    with concurrent.futures.ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(ask, paths))
    expected = []
    for export in exports:
        model = crossask.load(export)
        expected.append([model.predict(path) for path in paths])
    for number in range(50):
        predictions = [of_model[number] for of_model in expected]
        for result, name, prediction in zip(answers[number], exports, predictions, strict=True):
            assert (result["model"], result["scene"]) == (str(name), prediction.scene)
            assert result["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
            assert len(result["timeline"]) == len(prediction.timeline)
            for part, segment in zip(result["timeline"], prediction.timeline, strict=True):
                assert (part["start_seconds"], part["end_seconds"]) == (
                    segment.start_seconds,
                    segment.end_seconds,
                )
                assert part["probabilities"] == pytest.approx(segment.probabilities, abs=1e-5)
        scores = {event["event"]: event["score"] for event in answers[number][0]["events"]}
        assert scores == pytest.approx(dict(expected[0][number].explain().top_events()), abs=1e-5)
        assert answers[number][1]["events"] == []
    # Different sounds have different answers, so that an answer to another request would be seen.
    different = set()
    for answer in answers:
        different.add(tuple(round(model["probabilities"]["a"], 4) for model in answer))
    assert len(different) > 40


def test_a_request_that_cannot_be_answered_gets_the_error(address, tmp_path):
    program = client.Client(address, verbose=False)
    with pytest.raises(Exception, match=r"lasts 0\.500 s"):
        program.predict(
            client.handle_file(write_noise(tmp_path / "x.wav", seconds=0.5)), api_name="/listen"
        )


def test_a_file_above_the_limit_is_not_uploaded(address):
    """gradio_client checks the size itself, so this uploads by hand."""
    sounds = Path(os.environ["GRADIO_TEMP_DIR"])
    before = sorted(sounds.rglob("*"))
    content = bytes(LIMITS.file_megabytes * 2**20 + 1)
    answer = httpx.post(f"{address}gradio_api/upload", files={"files": ("large.wav", content)})
    assert answer.status_code == 413
    assert sorted(sounds.rglob("*")) == before
    answer = httpx.post(f"{address}gradio_api/upload", files={"files": ("a.wav", content[:-9])})
    assert answer.status_code == 200


def test_the_page_is_not_served_to_the_page_of_another_server(address):
    assert httpx.get(address).status_code == 200
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        for path in ("", "gradio_api/info", "gradio_api/queue/data?session_hash=a"):
            answer = httpx.get(f"{address}{path}", headers=headers)
            assert answer.status_code == 403
            assert "evil.example" in answer.text
        upload = {"files": ("a.wav", b"sound")}
        answer = httpx.post(f"{address}gradio_api/upload", files=upload, headers=headers)
        assert answer.status_code == 403


def test_a_file_of_the_server_is_not_read_for_a_stranger(address, tmp_path):
    """gradio_client uploads what it is given; this asks by hand for a path."""
    sound = {"path": write_noise(tmp_path / "own.wav"), "meta": {"_type": "gradio.FileData"}}
    request = urllib.request.Request(
        f"{address}gradio_api/call/listen",
        json.dumps({"data": [sound]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/listen/{event}") as response:
        answer = response.read().decode()
    assert "event: error" in answer
    assert "probabilities" not in answer


@pytest.mark.processes
def test_a_signal_ends_it_with_exit_code_0_and_leaves_no_files(exports, tmp_path):
    started = []
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # both processes at once: they take their time to start
        port = free_port()
        place = tmp_path / str(number)
        place.mkdir()
        command = [
            sys.executable,
            "-m",
            "crossask.cli.app",
            f"--model={exports[1]}",
            f"--port={port}",
        ]
        pipes = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": {**os.environ, "TMPDIR": str(place)},
        }
        # where the tests run in the background, SIGINT is ignored, and so it would be by what they
        # start
        heeds = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        started.append((number, port, place, subprocess.Popen(command, **pipes, preexec_fn=heeds)))
    for number, port, place, process in started:
        assert process.stdout.readline() == (
            f"Serving the page at http://127.0.0.1:{port}/. Press Ctrl-C to stop.\n"
        )
        assert list(place.glob("crossask-app.*"))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert not list(place.glob("crossask-app.*"))


def test_a_port_that_is_taken_is_an_error(exports, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app.main(["crossask-app", f"--model={exports[1]}", f"--port={port}"]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_the_flags_are_the_limits_of_the_page_and_no_model_is_the_starter_model(monkeypatch):
    served = []

    def serve(models, **arguments):
        served.append((models, arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "serve", serve)
    command = ["crossask-app", "--max_file_mb=7", "--max_minutes=2.5", "--max_files=3"]
    command += ["--request_timeout=9", "--max_waiting=5", "--public_name=a.example", "--port=1"]
    assert app.main(command) == 0
    limits = outcomes.Limits(7, 2.5, files=3, request_seconds=9, waiting=5)
    arguments = {
        "host": "127.0.0.1",
        "port": 1,
        "limits": limits,
        "public_names": ["a.example"],
        "trust_model": False,
    }
    assert served == [([None], arguments)]


def test_without_gradio_it_says_what_to_install(exports, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert app.main(["crossask-app", f"--model={exports[0]}"]) == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "Error: The page needs gradio, which is not installed.",
        "Install it: pip install 'crossask[app]'.",
    ]

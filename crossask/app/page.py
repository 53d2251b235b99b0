"""The page: one or two exported models predict the scenes of recordings. Needs gradio."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from crossask import files, processors
from crossask.app import examples, failures, fragments, outcomes, style
from crossask.app.fragments import ShownModel
from crossask.app.hosts import known_hosts
from crossask.app.outcomes import Limits, Models
from crossask.app.turns import Request, Turns
from crossask.app.view import NOTHING_CHOSEN, View, in_turn
from crossask.errors import AudioError, CrossaskError
from crossask.serving import Classifier
from crossask.serving.classifier import LITERT_SUFFIX
from crossask.serving.sources import RecordingFile

MOST_MODELS = 2
STARTER_NAME = "starter model"
# Number of requests that are computed at once; others wait.
CONCURRENT_REQUESTS = max(2, processors.cores())
# Recordings of visitors are deleted when they are this old; gradio looks for them this often.
KEPT_SECONDS = 3600
# Sample rate of the clip that a model predicts when it is loaded.
NOISE_RATE_HZ = 16000
TITLE = "crossask: what scene is this?"
INTRODUCTION = """# What scene is this?
Upload or record at least one second of sound, or choose an example; then press Classify."""
LIMITS_TEXT = "At most {files} files of {megabytes} MB and {minutes:g} minutes each."
PRIVACY = (
    "The models run on the machine that serves this page. Your recording is not sent anywhere "
    "else, and it is deleted within two hours."
)

# Options of gradio that are the same for each page.
LAUNCH_OPTIONS = {
    "share": False,
    "quiet": True,
    "prevent_thread_lock": True,
    "ssr_mode": False,
    "pwa": False,
    "enable_monitoring": False,
    "mcp_server": False,
    "run_history": False,
    "footer_links": [],
    # Gradio would wait 3 s for a response of its own page, which takes longer on a busy machine.
    "_frontend": False,
}


@contextlib.contextmanager
def serve(
    model_dirs: Sequence[str | Path | None],
    host: str = "127.0.0.1",
    port: int = 7860,
    limits: Limits | None = None,
    public_names: Sequence[str] = (),
    trust_model: bool = False,
) -> Iterator[str]:
    """Serves the page until the context ends.

    Examples and the recordings of visitors are in a temporary folder, which is then removed. What
    a killed page has left is removed at the start.

    Args:
      model_dirs: Folders of one or two exported models; None is the starter model.
      host: Address at which the page is served.
      port: Port at which the page is served.
      limits: The largest recordings and requests that the page takes; None is the default.
      public_names: Further names under which visitors reach the page, see `crossask.app.hosts`.
      trust_model: See `load_models`.

    Yields:
      The URL of the page.

    Raises:
      CrossaskError: The number of models is wrong, a folder contains no exported model, or the
        address is not available.
    """
    models = load_models(model_dirs, trust_model)
    limits = limits or Limits()
    with files.working_folder("crossask-app") as folder:
        sounds = folder / "sounds"
        os.environ["GRADIO_TEMP_DIR"] = str(sounds)
        examples_folder = folder / "examples"
        page = build_page(models, examples.write_examples(examples_folder), limits)
        # Requests pass through these from the first to the last.
        middleware = [known_hosts(host, public_names), failures.logged_failures()]
        try:
            _, url, _ = page.launch(
                server_name=host,
                server_port=port,
                allowed_paths=[str(examples_folder)],
                max_file_size=f"{limits.file_megabytes}mb",
                app_kwargs={"middleware": middleware},
                theme=style.theme(),
                css=style.STYLE,
                **LAUNCH_OPTIONS,
            )
        except OSError as error:
            raise CrossaskError(
                f"The page cannot be served at {host}:{port} ({error}).",
                "Use another --port or --host.",
            ) from error
        is_over = threading.Event()
        threading.Thread(target=_remove_uploads, args=(sounds, is_over), daemon=True).start()
        try:
            yield url
        finally:
            is_over.set()
            page.close(verbose=False)


def _remove_uploads(folder: Path, is_over: threading.Event) -> None:
    """Removes old recordings of visitors until the page ends."""
    while not is_over.wait(KEPT_SECONDS):
        failures.remove_old_files(folder, KEPT_SECONDS)


def load_models(
    model_dirs: Sequence[str | Path | None], trust_model: bool = False
) -> dict[str, Classifier]:
    """Loads models and names them by their folders, or by the whole paths if names are equal.

    Each model predicts a clip. TensorFlow prepares a graph when it runs for the first time, which
    takes seconds, and the first visitors would wait for it.

    Args:
      model_dirs: Folders of one or two exported models; None is the starter model.
      trust_model: Whether SavedModels that are not from crossask-export are loaded, too.

    Raises:
      CrossaskError: The number of models is wrong, a model is given twice, a folder contains no
        exported model, or a model is a LiteRT file.
    """
    for path in model_dirs:
        if path is not None and Path(path).suffix == LITERT_SUFFIX:
            raise CrossaskError(
                f"{path} is a LiteRT file, which computes no explanations for the page.",
                "Export the run with --format=saved_model, or use crossask-predict.",
            )
    if not 1 <= len(model_dirs) <= MOST_MODELS:
        raise CrossaskError(
            f"{len(model_dirs)} models are given.", "Give one, or two to compare them."
        )
    names = [_short_name(folder) for folder in model_dirs]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in model_dirs]
    if len(set(names)) < len(names):
        raise CrossaskError(
            f"The model {names[0]!r} is given twice.", "Give another one, or leave it out."
        )
    models = {}
    for name, folder in zip(names, model_dirs, strict=True):
        models[name] = Classifier(folder, trust_model=trust_model)
        _predict_noise(models[name])
    return models


def _predict_noise(model: Classifier) -> None:
    """Predicts and explains a clip of noise, so that all graphs are prepared."""
    samples = round(model.clip_seconds * NOISE_RATE_HZ)
    noise = np.random.default_rng(0).normal(0, 0.01, samples)
    model.predict(noise, NOISE_RATE_HZ).explain()


def results_json(
    models: Models,
    path: str | None,
    limits: Limits,
    check: outcomes.Check = outcomes.nothing_to_check,
) -> list[dict[str, Any]]:
    """Returns the result of each model for one recording as JSON values.

    Args:
      models: The models by name.
      path: The recording, or None if there is none.
      limits: The largest recordings that are taken.
      check: As in `outcomes.classify`.

    Raises:
      gr.Error: The recording cannot be used.
    """
    if not path:
        raise gr.Error(NOTHING_CHOSEN, print_exception=False)
    name = Path(path).name
    recording = RecordingFile(path, name, title=name)
    results = []
    try:
        for model_name, model in models.items():
            prediction = outcomes.predict(model, recording, limits, check)
            explanation = prediction.explain()
            results.append(fragments.prediction_json(model_name, prediction, explanation))
    except AudioError as error:
        # Gradio shows the message as HTML.
        message = escape(outcomes.problem_text(error, path, name))
        raise gr.Error(message, print_exception=False) from error
    return results


def build_page(
    models: Models, example_files: Sequence[tuple[str, Path]], limits: Limits
) -> gr.Blocks:
    """Returns the page, which is not served yet.

    Args:
      models: The models by name.
      example_files: Name and path of each example recording.
      limits: The largest recordings and requests that the page takes.
    """
    page = failures.Page(
        title=TITLE, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)
    )
    shown_models = [ShownModel(name, model.card) for name, model in models.items()]
    limits_text = LIMITS_TEXT.format(
        files=limits.files, megabytes=limits.file_megabytes, minutes=limits.minutes
    )
    with page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("One recording"), gr.Row(equal_height=False):
            with gr.Column(scale=3):
                recording = gr.Audio(
                    type="filepath",
                    sources=["upload", "microphone"],
                    label="Recording",
                    buttons=["download"],
                    elem_id="recording",
                )
            with gr.Column(scale=2):
                gr.Markdown(_title_of_examples(models))
                _add_examples(example_files, recording)
                button = gr.Button("Classify", variant="primary", size="lg", elem_id="classify")
        with gr.Tab("Several files"):
            several = gr.File(file_count="multiple", label="Recordings", elem_id="several")
            several_button = gr.Button(
                "Classify all", variant="primary", size="lg", elem_id="classify_all"
            )
        chooser = gr.Dropdown(
            visible=False, label="Recording that is shown below the table", elem_id="chooser"
        )
        moment = gr.Slider(
            0, 1, step=0.1, label="Explain the window at (s)", visible=False, elem_id="moment"
        )
        result = gr.HTML(elem_id="result", min_height=0)
        gr.Markdown("## The model" if len(models) == 1 else "## The models")
        gr.HTML(fragments.models_html(shown_models))
        gr.Markdown(f"{limits_text} {PRIVACY}")
        turns = Turns(CONCURRENT_REQUESTS, limits.waiting, limits.request_seconds)
        view = View(models, limits, turns, chooser, moment, result)
        view.connect(recording, button, view.on_recording)
        view.connect(several, several_button, view.on_files)
        view.connect_choices()
        _offer_to_programs(models, recording, limits, turns)
    return page


def _offer_to_programs(models: Models, recording: gr.Audio, limits: Limits, turns: Turns) -> None:
    """Adds the interface for programs."""

    async def for_programs(path: str | None) -> list[dict[str, Any]]:
        """Returns the results for a program; the parameter's name is part of the interface."""

        def compute(request: Request) -> list[dict[str, Any]]:
            return results_json(models, path, limits, request.check)

        try:
            return await in_turn(turns, [path] if path else [], compute)
        except AudioError as error:
            # Gradio shows the message as HTML.
            message = escape(f"{error.problem} {error.fix}")
            raise gr.Error(message, print_exception=False) from error

    # Gradio offers an endpoint to programs only for an event of a component on the page.
    hidden_button = gr.Button(visible=False)
    hidden_output = gr.JSON(visible=False)
    hidden_button.click(
        for_programs,
        recording,
        hidden_output,
        api_name="listen",
        api_description="Scene, probabilities, timeline and events of a sound file.",
        concurrency_limit=None,
    )


def _title_of_examples(models: Models) -> str:
    """Returns the title of the examples; another one if no model predicts their scenes."""
    known = set()
    for model in models.values():
        known.update(model.scenes)
    if not any(known.intersection(scenes) for _, scenes in examples.EXAMPLES):
        return "Generated examples, of scenes that the model does not know"
    return "Generated examples"


def _add_examples(example_files: Sequence[tuple[str, Path]], recording: gr.Audio) -> None:
    """Adds a button for each example.

    gr.Examples would copy the files to the folder of the visitors' recordings, where they would be
    deleted.
    """
    with gr.Row(elem_classes="examples"):
        for name, path in example_files:
            button = gr.Button(name, size="sm", min_width=0)
            # A function that returns the path.
            choose = functools.partial(str, path)
            button.click(choose, None, recording, api_visibility="private", show_progress="hidden")


def _short_name(folder: str | Path | None) -> str:
    """Returns the name of a model's folder, in which links are resolved."""
    if folder is None:
        return STARTER_NAME
    return Path(os.path.realpath(folder)).name

"""The page: one or two exported models predict the scene of the same recording. Needs gradio."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from crossask.app import examples, fragments
from crossask.errors import AudioError, CrossaskError
from crossask.serving import Classifier, Explanation, Prediction

MOST_MODELS = 2
# Number of requests that are processed at once; others wait.
CONCURRENT_REQUESTS = max(2, os.cpu_count() or 1)
# Recordings of visitors are deleted when they are this old; gradio looks for them this often.
KEPT_SECONDS = 3600
INK = "#1f6f78"
DARK_INK = "#16545b"
LIGHT_INK = "#7cc4c8"
TITLE = "crossask: what scene is this?"
INTRODUCTION = """# What scene is this?
Upload or record at least one second of sound, or choose an example; then press Classify."""
PRIVACY = (
    "The models run on the machine that serves this page. Your recording is not sent anywhere "
    "else, and it is deleted within two hours."
)

Models = Mapping[str, Classifier]


@contextlib.contextmanager
def serve(
    model_dirs: Sequence[str | Path], host: str = "127.0.0.1", port: int = 7860
) -> Iterator[str]:
    """Serves the page until the context ends.

    Examples and the recordings of visitors are in a temporary folder, which is then removed.

    Args:
      model_dirs: Folders of one or two exported models.
      host: Address at which the page is served.
      port: Port at which the page is served.

    Yields:
      The URL of the page.

    Raises:
      CrossaskError: The number of models is wrong, a folder contains no exported model, or the
        address is not available.
    """
    models = load_models(model_dirs)
    with tempfile.TemporaryDirectory(prefix="crossask-app.") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "sounds")
        examples_folder = Path(folder) / "examples"
        page = build_page(models, examples.write_examples(examples_folder))
        try:
            _, url, _ = page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                ssr_mode=False,
                pwa=False,
                enable_monitoring=False,
                mcp_server=False,
                run_history=False,
                footer_links=[],
                theme=_theme(),
                css=fragments.STYLE,
                allowed_paths=[str(examples_folder)],
            )
        except OSError as error:
            raise CrossaskError(
                f"The page cannot be served at {host}:{port} ({error}).",
                "Use another --port or --host.",
            ) from error
        try:
            yield url
        finally:
            page.close(verbose=False)


def load_models(model_dirs: Sequence[str | Path]) -> dict[str, Classifier]:
    """Loads models and names them by their folders, or by the whole paths if names are equal.

    Args:
      model_dirs: Folders of one or two exported models.

    Raises:
      CrossaskError: The number of models is wrong, a model is given twice, or a folder contains no
        exported model.
    """
    if not 1 <= len(model_dirs) <= MOST_MODELS:
        raise CrossaskError(
            f"{len(model_dirs)} models are given.", "Give one, or two to compare them."
        )
    names = [Path(folder).resolve().name for folder in model_dirs]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in model_dirs]
    if len(set(names)) < len(names):
        raise CrossaskError(
            f"The model {names[0]!r} is given twice.", "Give another one, or leave it out."
        )
    return {name: Classifier(folder) for name, folder in zip(names, model_dirs, strict=True)}


def predict(models: Models, path: str | None) -> list[Prediction]:
    """Returns the prediction of each model.

    Args:
      models: The models by name.
      path: The recording, or None if the visitor has not chosen one.

    Raises:
      gr.Error: The recording cannot be used; the message is shown on the page.
    """
    _check_chosen(path)
    with _errors_on_page(path):
        return [model.predict(path) for model in models.values()]


def predict_json(models: Models, path: str | None) -> list[dict[str, Any]]:
    """Returns the result of each model as JSON values; arguments and errors as in `predict`."""
    predictions = predict(models, path)
    results = []
    with _errors_on_page(path):
        for name, prediction in zip(models, predictions, strict=True):
            results.append(fragments.prediction_json(name, prediction, prediction.explain()))
    return results


def show(
    models: Models, predictions: Sequence[Prediction] | None, at_seconds: float | None = None
) -> tuple[list[str], list[Explanation]]:
    """Returns the HTML of each model's result, and the explanation that it shows.

    Args:
      models: The models by name.
      predictions: Their predictions, or None if there are none yet.
      at_seconds: Time of the window to explain, as in `Prediction.explain`.

    Raises:
      gr.Error: There are no predictions, or the recording cannot be read any more.
    """
    # A page that was open when the server was started again has no predictions.
    _check_chosen(predictions)
    html = []
    explanations = []
    with _errors_on_page(predictions[0].source):
        for (name, model), prediction in zip(models.items(), predictions, strict=True):
            explanation = prediction.explain(at_seconds)
            html.append(fragments.prediction_html(name, model.card, prediction, explanation))
            explanations.append(explanation)
    return html, explanations


def build_page(models: Models, example_files: Sequence[tuple[str, Path]]) -> gr.Blocks:
    """Returns the page, which is not served yet.

    Args:
      models: The models by name.
      example_files: Name and path of each example recording.
    """
    page = gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)
    )
    with page:
        gr.Markdown(INTRODUCTION)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3):
                recording = gr.Audio(
                    type="filepath",
                    sources=["upload", "microphone"],
                    label="Recording",
                    buttons=["download"],
                    elem_id="recording",
                )
            with gr.Column(scale=2):
                gr.Markdown("Generated examples")
                _add_examples(example_files, recording)
                button = gr.Button("Classify", variant="primary", size="lg", elem_id="classify")
        moment = gr.Slider(
            0, 1, step=0.1, label="Explain the window at (s)", visible=False, elem_id="moment"
        )
        with gr.Row():
            results = []
            for number in range(len(models)):
                results.append(gr.HTML(elem_id=f"result{number}", min_height=0))
        with gr.Row():
            for name, model in models.items():
                with gr.Column(), gr.Accordion(f"Model card: {name}", open=False):
                    gr.HTML(fragments.model_card_html(model.card))
        gr.Markdown(PRIVACY)
        _connect(models, recording, button, moment, results)
    return page


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


def _connect(
    models: Models,
    recording: gr.Audio,
    button: gr.Button,
    moment: gr.Slider,
    results: list[gr.HTML],
) -> None:
    """Connects the button, the slider and the interface for programs with the models."""
    predictions_of_visitor = gr.State()
    limits = {"concurrency_limit": CONCURRENT_REQUESTS, "concurrency_id": "predict"}

    def on_button(path: str | None) -> tuple[Any, ...]:
        """Returns the new predictions, the slider and the results."""
        predictions = predict(models, path)
        html, explanations = show(models, predictions)
        first = explanations[0]
        has_several_windows = any(len(prediction.timeline) > 1 for prediction in predictions)
        slider = gr.Slider(
            maximum=round(predictions[0].seconds, 1),
            value=round((first.start_seconds + first.end_seconds) / 2, 1),
            visible=has_several_windows,
        )
        return predictions, slider, *html

    def on_slider(predictions: list[Prediction] | None, at_seconds: float) -> list[str]:
        """Returns the results for another window."""
        html, _ = show(models, predictions, at_seconds)
        return html

    def for_programs(path: str | None) -> list[dict[str, Any]]:
        """Returns the results for a program; the parameter's name is part of the interface."""
        return predict_json(models, path)

    button.click(
        on_button,
        recording,
        [predictions_of_visitor, moment, *results],
        api_visibility="private",
        **limits,
    )
    moment.input(
        on_slider,
        [predictions_of_visitor, moment],
        results,
        api_visibility="private",
        trigger_mode="always_last",
        show_progress="hidden",
        **limits,
    )
    # Gradio offers an endpoint to programs only for an event of a component on the page.
    hidden_button = gr.Button(visible=False)
    hidden_output = gr.JSON(visible=False)
    hidden_button.click(
        for_programs,
        recording,
        hidden_output,
        api_name="listen",
        api_description="Scene, probabilities, timeline and events of a sound file.",
        **limits,
    )


def _check_chosen(value: object) -> None:
    """Raises gr.Error if there is no recording, or no prediction of one."""
    if not value:
        raise gr.Error(
            "There is no result yet. Upload or record a sound, or choose an example, and press "
            "Classify.",
            print_exception=False,
        )


@contextlib.contextmanager
def _errors_on_page(path: str) -> Iterator[None]:
    """Turns an AudioError into a message on the page.

    The message contains the file's name instead of its path on the server.
    """
    try:
        yield
    except AudioError as error:
        message = f"{error.problem} {error.fix}".replace(str(path), Path(path).name)
        # Gradio shows the message as HTML.
        raise gr.Error(escape(message), print_exception=False) from error


def _theme() -> gr.themes.Base:
    """Returns a theme with the report's colour and system fonts, so that no font is downloaded."""
    theme = gr.themes.Default(
        primary_hue="teal",
        neutral_hue="stone",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    )
    return theme.set(
        button_primary_background_fill=INK,
        button_primary_background_fill_hover=DARK_INK,
        button_primary_text_color="white",
        button_primary_background_fill_dark=INK,
        button_primary_background_fill_hover_dark=DARK_INK,
        button_primary_text_color_dark="white",
        slider_color=INK,
        slider_color_dark=LIGHT_INK,
    )

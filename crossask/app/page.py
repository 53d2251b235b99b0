"""The page itself: one or two exported models hear the same sound. Needs gradio."""

import contextlib
import functools
import os
import tempfile
from html import escape
from pathlib import Path

import gradio as gr

from crossask.app import fragments, sounds
from crossask.errors import AudioError, CrossaskError
from crossask.serving import Classifier, Explanation, Prediction

MOST_MODELS = 2
AT_ONCE = max(2, os.cpu_count() or 1)  # sounds heard at once; others wait for their turn
KEPT_SECONDS = 3600  # of a visitor's sound
INK = "#1f6f78"
FOOT = "The models run on the machine that serves this page. A sound goes nowhere else, and is deleted within two hours."


@contextlib.contextmanager
def served(model_dirs, host: str = "127.0.0.1", port: int = 7860):
    """The page of these models, as long as the context lasts; gives its address.

    Sounds of visitors and examples lie in a temporary folder that goes with it.

    Raises:
      CrossaskError: no or too many models, one that is none, or an address that is not to be had.
    """
    models = load_models(model_dirs)
    with tempfile.TemporaryDirectory(prefix="crossask-app.") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "sounds")
        page = build(models, sounds.write_examples(Path(folder) / "examples"))
        try:
            _, address, _ = page.launch(
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
                allowed_paths=[str(Path(folder) / "examples")],
            )
        except OSError as error:
            raise CrossaskError(
                f"The page cannot be served at {host}:{port} ({error}).",
                "Give another --port, or --host.",
            ) from error
        try:
            yield address
        finally:
            page.close(verbose=False)


def load_models(model_dirs) -> dict[str, Classifier]:
    """Models by a name that tells them apart: the folder's, or the whole path where two folders share it."""
    if not 1 <= len(model_dirs) <= MOST_MODELS:
        raise CrossaskError(
            f"{len(model_dirs)} models are given.", "Give one, or two to stand side by side."
        )
    names = [Path(folder).resolve().name for folder in model_dirs]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in model_dirs]
    if len(set(names)) < len(names):
        raise CrossaskError(
            f"The model {names[0]!r} is given twice.", "Give another one, or leave it out."
        )
    return {name: Classifier(folder) for name, folder in zip(names, model_dirs, strict=True)}


def hear(models: dict[str, Classifier], sound: str | None) -> list[Prediction]:
    """What each model says of the sound file.

    Raises:
      gr.Error: in words for the page, where it cannot be used.
    """
    _must_be_there(sound)
    with _told(sound):
        return [model.predict(sound) for model in models.values()]


def listen(models: dict[str, Classifier], sound: str | None) -> list[dict]:
    """The answers as JSON, one for each model; errors: `hear`."""
    answers = hear(models, sound)
    with _told(sound):
        return [
            fragments.as_json(name, answer, answer.explain())
            for name, answer in zip(models, answers, strict=True)
        ]


def show(
    models: dict[str, Classifier], answers: list[Prediction], at_seconds: float | None = None
) -> tuple[list[str], list[Explanation]]:
    """HTML of each model's answer, and what it explains: the window at a moment, or else the one that speaks most for the scene."""
    _must_be_there(answers)  # a page that was open when the server started again has none
    with _told(answers[0].source):
        why = [answer.explain(at_seconds) for answer in answers]
    parts = zip(models.items(), answers, why, strict=True)
    return [
        fragments.answer(name, model.card, answer, explanation)
        for (name, model), answer, explanation in parts
    ], why


def build(models: dict[str, Classifier], examples: list[tuple[str, Path]]) -> gr.Blocks:
    """The page, not yet served."""
    kept = (KEPT_SECONDS, KEPT_SECONDS)
    with gr.Blocks(
        title="crossask: what scene is this?", analytics_enabled=False, delete_cache=kept
    ) as page:
        gr.Markdown(
            "# What scene is this?\nDrop or record a sound of at least a second, then press Listen."
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=3):
                sound = gr.Audio(
                    type="filepath",
                    sources=["upload", "microphone"],
                    label="Sound",
                    buttons=["download"],
                    elem_id="sound",
                )
            with gr.Column(scale=2):
                gr.Markdown("Generated sounds to try")
                with gr.Row(elem_classes="examples"):
                    for name, path in examples:
                        # no gr.Examples: its copies would be deleted with the visitors' sounds
                        chosen = gr.Button(name, size="sm", min_width=0)
                        chosen.click(
                            functools.partial(str, path),
                            None,
                            sound,
                            api_visibility="private",
                            show_progress="hidden",
                        )
                button = gr.Button("Listen", variant="primary", size="lg", elem_id="listen")
        moment = gr.Slider(
            0, 1, step=0.1, label="Moment to explain (s)", visible=False, elem_id="moment"
        )
        with gr.Row():
            shown = [
                gr.HTML(elem_id=f"answer{number}", min_height=0) for number in range(len(models))
            ]
        with gr.Row():
            for name, model in models.items():
                with gr.Column(), gr.Accordion(f"Model card: {name}", open=False):
                    gr.HTML(fragments.facts(model.card))
        gr.Markdown(FOOT)
        _answering(models, sound, button, moment, shown)
    return page


def _answering(models, sound, button, moment, shown):
    """What the button, the slider and programs ask for."""
    answers, waiting, found = gr.State(), gr.Button(visible=False), gr.JSON(visible=False)
    limits = {"concurrency_limit": AT_ONCE, "concurrency_id": "listening"}

    def pressed(path):
        predictions = hear(models, path)
        pages, why = show(models, predictions)
        middle = (why[0].start_seconds + why[0].end_seconds) / 2
        several = any(len(prediction.timeline) > 1 for prediction in predictions)
        return (
            predictions,
            gr.Slider(
                maximum=round(predictions[0].seconds, 1), value=round(middle, 1), visible=several
            ),
            *pages,
        )

    def moved(predictions, at_seconds):
        return show(models, predictions, at_seconds)[0]

    def asked(path):
        return listen(models, path)

    button.click(pressed, sound, [answers, moment, *shown], api_visibility="private", **limits)
    moment.input(
        moved,
        [answers, moment],
        shown,
        api_visibility="private",
        trigger_mode="always_last",
        show_progress="hidden",
        **limits,
    )
    waiting.click(
        asked,
        sound,
        found,
        api_name="listen",
        api_description="Scene, probabilities, timeline and events of a sound file.",
        **limits,
    )


def _must_be_there(sound):
    if not sound:
        raise gr.Error(
            "There is no sound yet. Drop a sound file, record one, or choose an example.",
            print_exception=False,
        )


@contextlib.contextmanager
def _told(sound: str):
    """What is wrong with a sound as words on the page, with the file's own name instead of its place on this machine."""
    try:
        yield
    except AudioError as error:
        text = f"{error.problem} {error.fix}".replace(str(sound), Path(sound).name)
        # gradio shows these words as HTML
        raise gr.Error(escape(text), print_exception=False) from error


def _theme() -> gr.themes.Base:
    """System fonts, so that none is fetched, and the report's ink: white on it reads well."""
    fonts = {"font": ("system-ui", "sans-serif"), "font_mono": ("ui-monospace", "monospace")}
    theme = gr.themes.Default(primary_hue="teal", neutral_hue="stone", **fonts)
    return theme.set(
        button_primary_background_fill=INK,
        button_primary_background_fill_hover="#16545b",
        button_primary_text_color="white",
        button_primary_background_fill_dark=INK,
        button_primary_background_fill_hover_dark="#16545b",
        button_primary_text_color_dark="white",
        slider_color=INK,
        slider_color_dark="#7cc4c8",
    )

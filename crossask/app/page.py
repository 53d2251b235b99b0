"""The page: one or two exported models predict the scenes of recordings. Needs gradio.

The handlers of the page never raise an error about a recording: gradio would print "Error" over
everything that they return. They return a message in place of the result.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import anyio.to_thread
import gradio as gr

from crossask import files
from crossask.app import examples, failures, fragments, outcomes
from crossask.app.fragments import Detail, ShownModel
from crossask.app.hosts import known_hosts
from crossask.app.outcomes import Limits, Models, Outcome
from crossask.app.turns import Request, Turns
from crossask.errors import AudioError, CrossaskError
from crossask.serving import Classifier
from crossask.serving.classifier import LITERT_SUFFIX
from crossask.serving.sources import RecordingFile

MOST_MODELS = 2
STARTER_NAME = "starter model"
# Number of requests that are computed at once; others wait.
CONCURRENT_REQUESTS = max(2, os.cpu_count() or 1)
# Recordings of visitors are deleted when they are this old; gradio looks for them this often.
KEPT_SECONDS = 3600
INK = "#1f6f78"
DARK_INK = "#16545b"
LIGHT_INK = "#7cc4c8"
TITLE = "crossask: what scene is this?"
INTRODUCTION = """# What scene is this?
Upload or record at least one second of sound, or choose an example; then press Classify."""
NOTHING_CHOSEN = (
    "There is no recording yet. Upload or record a sound, or choose an example, and press Classify."
)
LIMITS_TEXT = "At most {files} files of {megabytes} MB and {minutes:g} minutes each."
PRIVACY = (
    "The models run on the machine that serves this page. Your recording is not sent anywhere "
    "else, and it is deleted within two hours."
)
PROGRESS = gr.Progress()


@contextlib.contextmanager
def serve(
    model_dirs: Sequence[str | Path | None],
    host: str = "127.0.0.1",
    port: int = 7860,
    limits: Limits = Limits(),  # noqa: B008
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
      limits: The largest recordings and requests that the page takes.
      public_names: Further names under which visitors reach the page, see `crossask.app.hosts`.
      trust_model: See `load_models`.

    Yields:
      The URL of the page.

    Raises:
      CrossaskError: The number of models is wrong, a folder contains no exported model, or the
        address is not available.
    """
    models = load_models(model_dirs, trust_model)
    with files.working_folder("crossask-app") as folder:
        sounds = folder / "sounds"
        os.environ["GRADIO_TEMP_DIR"] = str(sounds)
        examples_folder = folder / "examples"
        page = build_page(models, examples.write_examples(examples_folder), limits)
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
                max_file_size=f"{limits.file_megabytes}mb",
                app_kwargs={
                    "middleware": [
                        known_hosts([host, *public_names]),
                        failures.logged_failures(),
                    ]
                },
                # Gradio would wait 3 s for an answer of its own page, which a busy machine misses.
                _frontend=False,
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
    return models


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


def usable_names(results: Sequence[Outcome]) -> list[str]:
    """Returns the names of the recordings that have predictions."""
    return [outcome.name for outcome in results if outcome.predictions]


def show(
    models: Models,
    results: Sequence[Outcome],
    name: str | None = None,
    at_seconds: float | None = None,
) -> tuple[str, Detail | None]:
    """Returns the HTML of the results, and the recording that it shows in detail.

    Args:
      models: The models by name.
      results: The outcomes of all recordings.
      name: The recording to show in detail; None is the first one that can be used.
      at_seconds: Time of the window to explain, as in `Prediction.explain`.

    Raises:
      AudioError: The recording cannot be read any more.
    """
    shown_models = [ShownModel(model_name, model.card) for model_name, model in models.items()]
    detail = None
    usable = usable_names(results)
    if usable:
        shown_name = name if name in usable else usable[0]
        (outcome,) = [outcome for outcome in results if outcome.name == shown_name]
        detail = _detail(outcome, at_seconds)
    return fragments.result_html(shown_models, results, detail), detail


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
        view = _View(models, limits, turns, (chooser, moment, result))
        view.connect(recording, button, view.on_recording)
        view.connect(several, several_button, view.on_files)
        view.connect_choices()
        _offer_to_programs(models, recording, limits, turns)
    return page


class _View:
    """The results on the page, and what changes them.

    Attributes:
      models: The models by name.
      limits: The largest recordings and requests that the page takes.
      turns: Decides when a request is computed.
      results: The outcomes of the visitor.
      chooser: Chooses one of several recordings.
      moment: Chooses the window that is explained.
      result: The HTML of the results.
    """

    def __init__(
        self,
        models: Models,
        limits: Limits,
        turns: Turns,
        components: tuple[gr.Dropdown, gr.Slider, gr.HTML],
    ):
        self.models = models
        self.limits = limits
        self.turns = turns
        self.results = gr.State()
        self.chooser, self.moment, self.result = components

    def connect(
        self, chosen: gr.Audio | gr.File, button: gr.Button, on_button: Callable[..., tuple]
    ) -> None:
        """Connects a place to choose recordings, and the button that classifies them."""
        outputs = [self.results, self.chooser, self.moment, self.result]
        quiet = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        cleared = button.click(self.cleared, None, outputs, **quiet)
        classified = cleared.then(
            on_button,
            chosen,
            outputs,
            api_visibility="private",
            # Progress would otherwise be written over each of the outputs.
            show_progress_on=self.result,
            concurrency_limit=None,
        )
        # The results of another recording must not stay beside the new one, or come later.
        chosen.change(self.cleared, None, outputs, cancels=[classified], **quiet)

    def connect_choices(self) -> None:
        """Connects the chooser of the recording, and of the window that is explained."""
        self.chooser.input(
            self.on_chooser,
            [self.results, self.chooser],
            [self.moment, self.result],
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=None,
        )
        self.moment.input(
            self.on_moment,
            [self.results, self.chooser, self.moment],
            self.result,
            api_visibility="private",
            trigger_mode="always_last",
            show_progress="hidden",
            concurrency_limit=None,
        )

    async def on_recording(self, path: str | None) -> tuple[Any, ...]:
        """Classifies one recording; returns the values of the outputs."""
        return await self._classified([path] if path else [], None)

    async def on_files(
        self, paths: list[str] | None, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        """Classifies several files; returns the values of the outputs."""

        def report(number: int, count: int, name: str) -> None:
            progress((number, count), desc=name)

        return await self._classified(paths or [], report)

    async def on_chooser(
        self, results: list[Outcome] | None, name: str | None
    ) -> tuple[gr.Slider, str]:
        """Shows another recording; returns the slider and the results."""
        return await self._shown_in_turn(results, name)

    async def on_moment(
        self, results: list[Outcome] | None, name: str | None, at_seconds: float
    ) -> str:
        """Returns the results with the explanation of another window."""
        _, html = await self._shown_in_turn(results, name, at_seconds)
        return html

    def cleared(self) -> tuple[Any, ...]:
        """Returns the outputs without results."""
        return self._problem("")

    async def _classified(
        self, paths: Sequence[str], report: outcomes.Report | None
    ) -> tuple[Any, ...]:
        if not paths:
            return self._problem(fragments.problem_html(NOTHING_CHOSEN))

        def classify(request: Request) -> tuple[Any, ...]:
            results = outcomes.classify(self.models, paths, self.limits, report, request.check)
            usable = usable_names(results)
            chooser = gr.Dropdown(
                choices=usable, value=usable[0] if usable else None, visible=len(usable) > 1
            )
            return results, chooser, *self._shown(results, None)

        try:
            return await _in_turn(self.turns, paths, classify)
        except AudioError as error:
            return self._problem(fragments.problem_html(f"{error.problem} {error.fix}"))

    async def _shown_in_turn(
        self, results: list[Outcome] | None, name: str | None, at_seconds: float | None = None
    ) -> tuple[gr.Slider, str]:
        """Returns what `_shown` returns, when it is its turn."""

        def show_again(_request: Request) -> tuple[gr.Slider, str]:
            return self._shown(results, name, at_seconds)

        try:
            # One window is explained.
            return await self.turns.run(0.0, show_again)
        except AudioError as error:
            return gr.Slider(visible=False), fragments.problem_html(f"{error.problem} {error.fix}")

    def _problem(self, html: str) -> tuple[Any, ...]:
        """Returns the outputs with a message instead of results."""
        no_chooser = gr.Dropdown(choices=[], value=None, visible=False)
        return None, no_chooser, gr.Slider(visible=False), html

    def _shown(
        self, results: list[Outcome] | None, name: str | None, at_seconds: float | None = None
    ) -> tuple[gr.Slider, str]:
        """Returns the slider and the HTML for a recording; arguments as in `show`."""
        hidden = gr.Slider(visible=False)
        # A page that was open when the server was started again has no results.
        if not results:
            return hidden, fragments.problem_html(NOTHING_CHOSEN)
        try:
            html, detail = show(self.models, results, name, at_seconds)
        except AudioError:
            # Uploads are deleted after some time.
            text = "This recording is no longer on the server. Choose it again, and press Classify."
            return hidden, fragments.problem_html(text)
        return _slider(detail), html


async def _in_turn(turns: Turns, paths: Sequence[str], work: Callable[[Request], Any]) -> Any:
    """Returns the result of a request for files when it was its turn; errors as in `Turns.run`."""
    # Some files are searched for their length, so it is not read between other requests.
    seconds = await anyio.to_thread.run_sync(outcomes.seconds_of, paths)
    return await turns.run(seconds, work)


def _offer_to_programs(models: Models, recording: gr.Audio, limits: Limits, turns: Turns) -> None:
    """Adds the interface for programs."""

    async def for_programs(path: str | None) -> list[dict[str, Any]]:
        """Returns the results for a program; the parameter's name is part of the interface."""

        def compute(request: Request) -> list[dict[str, Any]]:
            return results_json(models, path, limits, request.check)

        try:
            return await _in_turn(turns, [path] if path else [], compute)
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
    """Returns the title of the examples, which says so if no model knows their scenes."""
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
    if folder is None:
        return STARTER_NAME
    return Path(folder).resolve().name


def _detail(outcome: Outcome, at_seconds: float | None) -> Detail:
    """Returns a recording with the explanations of one window."""
    explanations = []
    for prediction in outcome.predictions:
        # An explanation of silence would show attention to nothing.
        explanations.append(None if prediction.is_silent else prediction.explain(at_seconds))
    return Detail(outcome, explanations)


def _slider(detail: Detail | None) -> gr.Slider:
    """Returns the slider for a recording; it is hidden if there is nothing to choose from."""
    explained = []
    has_several_windows = False
    if detail is not None:
        explained = [why for why in detail.explanations if why is not None]
        has_several_windows = any(
            len(prediction.timeline) > 1 for prediction in detail.outcome.predictions
        )
    if not explained:
        return gr.Slider(visible=False)
    first = explained[0]
    return gr.Slider(
        maximum=round(detail.outcome.predictions[0].seconds, 1),
        value=round((first.start_seconds + first.end_seconds) / 2, 1),
        visible=has_several_windows,
    )


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

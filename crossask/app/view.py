"""The results on the page: classifies what a visitor chooses, and shows one recording in detail.

No handler raises an error about a recording: gradio would print "Error" over everything that it
returns. It returns a message in place of the result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import anyio.to_thread
import gradio as gr

from crossask.app import fragments, outcomes
from crossask.app.fragments import Detail, ShownModel
from crossask.app.outcomes import Limits, Models, Outcome
from crossask.app.turns import Request, Turns
from crossask.errors import AudioError

NOTHING_CHOSEN = (
    "There is no recording yet. Upload or record a sound, or choose an example, and press Classify."
)
# Gradio replaces this default argument by the progress of the request.
PROGRESS = gr.Progress()


class View:
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
        chooser: gr.Dropdown,
        moment: gr.Slider,
        result: gr.HTML,
    ):
        self.models = models
        self.limits = limits
        self.turns = turns
        self.results = gr.State()
        self.chooser = chooser
        self.moment = moment
        self.result = result

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
        # The results of another recording must neither stay beside the new one nor appear later.
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
        """Classifies files when it is their turn; returns the values of the outputs."""
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
            # The header of each file is read before its turn.
            outcomes.check_count(paths, self.limits)
            return await in_turn(self.turns, paths, classify)
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


async def in_turn(turns: Turns, paths: Sequence[str], work: Callable[[Request], Any]) -> Any:
    """Returns the result of a request for files when it was its turn; errors as in `Turns.run`."""
    # Some files are searched for their length, so it is not read between other requests.
    seconds = await anyio.to_thread.run_sync(outcomes.seconds_of, paths)
    return await turns.run(seconds, work)


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

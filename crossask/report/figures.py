"""Pictures of a report as PNG, SVG and PDF.

The same runs give the same bytes, so the files contain no date.
"""

import contextlib
import dataclasses
import functools
import io
import math
import operator
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from fontTools import subset
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from crossask import child_processes
from crossask.evaluation import EventInScene
from crossask.evaluation import events as events_in_scenes
from crossask.report import formatting
from crossask.report.accuracy_matrix import clips_text
from crossask.report.findings import paper_differences
from crossask.report.rows import Row

if TYPE_CHECKING:
    from crossask.report.corpus import CorpusResults

# The pictures have a light background of their own, so that they are legible on a dark page, too.
GROUND = "#fbfaf7"
INK = "#23282d"
FAINT = "#6d747b"
LINE = "#dedbd3"
VALIDATION = "#1f6f78"
TRAINING = "#c2703d"
SHADES = LinearSegmentedColormap.from_list(
    "calm", (GROUND, "#bcd8d9", "#5ea3a8", "#1f6f78", "#0d4047")
)
# From negative effects over zero to positive ones.
EFFECTS = LinearSegmentedColormap.from_list(
    "effects", ("#7a3d12", TRAINING, "#ecd3c1", GROUND, "#bcd8d9", "#5ea3a8", "#0d4047")
)
# Cohen's words for the sizes of h. Larger effects have the colour of the last one.
EFFECT_SIZES = {0.2: "small", 0.5: "medium", 0.8: "large"}
EVENTS_OF_SCENE = 3  # in the matrix of events by scene
# Other systems are FAINT.
SYSTEM_COLOURS = {
    "FA": "#6d747b",
    "VEM": "#8a6fa8",
    "JRM": "#c2703d",
    "CMAM": "#1f6f78",
}
VERDICT_COLOURS = {"better": VALIDATION, "worse": TRAINING}
DOTS_PER_INCH = 130
# Characters of a title that are certain to fit.
CHARACTERS_PER_INCH = 14
INCHES_OF_TITLE_LINE = 0.15
# Ending of a file -> what Matplotlib would write of itself and of the time into it.
FORMATS = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# Tables of fonts by which text is laid out.
LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH", "kern")
SETTINGS = {
    # Names from outside may contain dollar signs.
    "text.parse_math": False,
    # Identifiers in an SVG are otherwise random.
    "svg.hashsalt": "crossask",
    # Text of a PDF remains text.
    "pdf.fonttype": 42,
}


@dataclasses.dataclass
class Drawing:
    """A picture that is drawn when its contents are first needed.

    Attributes:
      draw: One of the functions below.
      arguments: Arguments of this function.
    """

    draw: Callable[..., Figure]
    arguments: tuple[object, ...]

    @functools.cached_property
    def contents(self) -> dict[str, bytes]:
        """Ending of each file -> its content."""
        return drawn(self.draw, *self.arguments)


def draw_all(drawings: Sequence[Drawing]) -> None:
    """Draws pictures, in two processes if there are two cores."""
    of_all = child_processes.mapped(operator.attrgetter("contents"), drawings)
    for drawing, contents in zip(drawings, of_all, strict=True):
        drawing.contents = contents


def drawn(draw: Callable[..., Figure], *arguments: object) -> dict[str, bytes]:
    """Draws a picture and returns the ending of each of its files -> content.

    Args:
      draw: One of the functions below.
      arguments: Arguments of this function.
    """
    with matplotlib.rc_context(SETTINGS), _small_fonts():
        figure = draw(*arguments)
        _lay_out(figure)
        return {ending: _saved(figure, ending) for ending in FORMATS}


def confusion(row: Row, scope: str) -> Figure:
    """Draws a confusion matrix in percent of the true scene's clips, mean over seeds.

    Args:
      row: The row.
      scope: What the picture describes, for its title.
    """
    counts = np.array(row.summary.confusion, float)
    clips = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, clips, out=np.zeros_like(counts), where=clips > 0)
    names = [shortened(formatting.scene(scene)) for scene in row.summary.scenes]
    size = 1.9 + 0.36 * len(names)
    figure = Figure(figsize=(size + 0.8, size), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.imshow(percent, cmap=SHADES, vmin=0, vmax=100)
    for (truth, predicted), value in np.ndenumerate(percent):
        if value < 0.5:
            continue
        text = axes.text(
            predicted,
            truth,
            f"{value:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            color=GROUND if value > 45 else INK,
        )
        # The text is inside the axes anyway, and measuring all of it takes longer than drawing.
        text.set_in_layout(False)
    labels = [f"{name} ({total:.0f})" for name, total in zip(names, clips[:, 0], strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), labels)
    axes.set_xlabel("predicted scene")
    axes.set_ylabel("true scene (clips)")
    _set_row_title(figure, row, "per cent of the true scene's clips", scope)
    calm(axes)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def curves(row: Row, scope: str) -> Figure:
    """Draws macro accuracy and loss over the epochs, one line for each run.

    Args:
      row: The row.
      scope: What the picture describes, for its title.
    """
    figure = Figure(figsize=(8.4, 3.5), facecolor=GROUND, layout="constrained")
    accuracy_axes, loss_axes = figure.subplots(1, 2)
    _draw_curves(accuracy_axes, row, "macro_accuracy", factor=100)
    accuracy_axes.set_ylabel("macro accuracy (%)")
    _draw_curves(loss_axes, row, "loss", factor=1)
    loss_axes.set_ylabel("loss (nats)")
    for axes in (accuracy_axes, loss_axes):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=LINE, linewidth=0.7)
        axes.set_axisbelow(True)
        calm(axes)
        _hide_outer_spines(axes)
    accuracy_axes.set_ylim(0, 102)
    loss_axes.set_ylim(bottom=0)
    accuracy_axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    runs = formatting.several(len(row.runs), "run")
    _set_row_title(figure, row, f"{runs}, a line each; the dot is the epoch kept", scope)
    return figure


def scenes(results: "CorpusResults") -> Figure:
    """Draws the accuracy of each scene: a panel for each scene, a bar for each row."""
    rows = results.rows
    scenes = rows[0].summary.scenes
    columns = min(3, len(scenes))
    lines = math.ceil(len(scenes) / columns)
    panel_height = 0.55 + 0.17 * len(rows)
    figure = Figure(
        figsize=(1.8 + 2.2 * columns, 0.7 + panel_height * lines),
        facecolor=GROUND,
        layout="constrained",
    )
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number < len(scenes):
            _draw_scene(axes, rows, scenes[number])
        else:
            axes.set_visible(False)
    panels[0, 0].invert_yaxis()
    for axes in panels.flat[max(0, len(scenes) - columns) :]:
        axes.tick_params(labelbottom=True)
    confidence = formatting.confidence(rows[0].summary.interval)
    _set_title(
        figure,
        f"Accuracy by scene (per cent, mean over seeds; lines are {confidence} intervals)",
        results.scope(),
    )
    return figure


def reliability(results: "CorpusResults") -> Figure:
    """Draws a reliability diagram for each row.

    Points below the diagonal are overconfident. Their size is the number of clips.
    """
    rows = results.rows
    columns = min(4, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = Figure(
        figsize=(max(0.6 + 2.1 * columns, 4.6), 0.9 + 2.3 * lines),
        facecolor=GROUND,
        layout="constrained",
    )
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number >= len(rows):
            axes.set_visible(False)
            continue
        _draw_reliability(axes, rows[number])
        if number % columns == 0:
            axes.set_ylabel("accuracy (%)")
        if number + columns >= len(rows):
            axes.set_xlabel("confidence (%)")
            axes.tick_params(labelbottom=True)
        add_grid(axes, "both")
    _set_title(
        figure,
        "Reliability: accuracy by confidence (the size of a dot is its number of clips)",
        results.scope(),
    )
    return figure


def events(results: "CorpusResults") -> Figure:
    """Draws the events that stand out in each scene, with the intervals of their effects."""
    groups = results.scene_events.by_scene()
    columns = min(2, len(groups))
    lines = math.ceil(len(groups) / columns)
    figure = Figure(
        figsize=(1.0 + 4.2 * columns, 0.7 + 1.15 * lines), facecolor=GROUND, layout="constrained"
    )
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False)
    for axes in panels.flat[len(groups) :]:
        axes.set_visible(False)
    for axes, (scene, events) in zip(panels.flat, groups.items(), strict=False):
        _draw_events(axes, scene, events)
    for axes in panels.flat[max(0, len(groups) - columns) : len(groups)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("effect (Cohen’s h)")
    confidence = f"{100 * results.scene_events.confidence:.0f} %"
    _set_title(
        figure,
        "Events that stand out in the scenes: effect on the mean score, against the other scenes "
        f"({confidence} intervals)",
        results.scope(results.scene_events.row),
    )
    return figure


def events_by_scene(results: "CorpusResults") -> Figure:
    """Draws the effect of every scene on the first events of each scene."""
    found = results.scene_events
    figure = event_matrix(found.effects())
    _set_title(
        figure,
        "Events by scene: effect on the mean score, against the other scenes\n"
        f"(dots: the {100 * found.confidence:.0f} % interval excludes zero)",
        results.scope(found.row),
    )
    return figure


def event_matrix(effects: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Returns a matrix of the scenes and the first events of each, with the effects as colours.

    Args:
      effects: Scene -> event -> lower end of the interval, effect, upper end.
    """
    scenes = list(effects)
    events = _first_events(effects)
    lines = []
    for event in events:
        lines.append([effects[scene][event] for scene in scenes])
    low, values, high = np.array(lines).transpose(2, 0, 1)  # [events, scenes]
    figure = Figure(
        figsize=(4.0 + 0.4 * len(scenes), 2.3 + 0.2 * len(events)),
        facecolor=GROUND,
        layout="constrained",
    )
    axes = figure.add_subplot(facecolor=GROUND)
    most = max(EFFECT_SIZES)
    image = axes.imshow(values, cmap=EFFECTS, vmin=-most, vmax=most, aspect="auto")
    # Dots are light on the dark colours of large effects.
    excludes_zero = events_in_scenes.excludes_zero(low, high)
    is_dark = np.abs(values) > most / 2
    for is_drawn, colour in ((excludes_zero & ~is_dark, INK), (excludes_zero & is_dark, GROUND)):
        rows, columns = np.nonzero(is_drawn)
        axes.scatter(columns, rows, s=5, color=colour, linewidths=0)
    names = [shortened(formatting.scene(scene)) for scene in scenes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(events)), [shortened(formatting.scene(event)) for event in events])
    calm(axes)
    axes.tick_params(length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    sizes = [-most, 0, *EFFECT_SIZES]
    bar = figure.colorbar(image, ax=axes, ticks=sizes, shrink=min(1, 12 / len(events)), aspect=30)
    words = [f"{size} ({word})" for size, word in EFFECT_SIZES.items()]
    bar.ax.set_yticklabels([f"−{most}", "0", *words])
    bar.set_label("effect (Cohen’s h)")
    bar.outline.set_visible(False)
    calm(bar.ax)
    bar.ax.tick_params(length=0)
    return figure


def choices(results: "CorpusResults") -> Figure:
    """Draws the effect of each changed choice with its interval, above the paper's differences.

    The paper's differences are left out for own recordings.
    """
    study = results.study
    changes = []
    for change in study.changes:
        difference = results.comparisons.between(change.row, study.reference)
        if difference.comparison is not None:
            changes.append((change, difference))
    figure = Figure(figsize=(7.6, 1.5 + 0.3 * len(changes)), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.axvline(0, color=FAINT, linewidth=1)
    for line, (_, difference) in enumerate(changes):
        interval = difference.comparison.interval
        colour = VERDICT_COLOURS.get(difference.verdict, FAINT)
        ends = [100 * interval.low, 100 * interval.high]
        axes.plot(ends, [line, line], color=colour, linewidth=1.8)
        axes.plot(
            100 * difference.comparison.difference,
            line,
            "o",
            color=colour,
            markersize=6,
            markerfacecolor=GROUND if colour == FAINT else colour,
        )
    labels = [f"{change.field} = {formatting.plain(change.value)}" for change, _ in changes]
    scope = results.scope()
    if results.refers_to_paper:
        of_paper = list(paper_differences().values())
        last_line = [len(changes)] * len(of_paper)
        axes.plot(of_paper, last_line, "|", color=INK, markersize=11)
        labels.append(f"the paper's {len(of_paper)} differences")
        scope += "; the paper's differences are of other clips and have no intervals"
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("points of macro accuracy")
    add_grid(axes, "x")
    axes.tick_params(axis="y", labelsize=8)
    confidence = formatting.confidence(study.reference.summary.interval)
    _set_title(
        figure,
        f"One open choice changed: the row minus {study.reference.title} ({confidence} intervals; "
        "open dots: cannot tell)",
        scope,
    )
    return figure


def calm(axes: Axes) -> None:
    """Makes labels and spines of axes faint, so that the data stand out."""
    axes.tick_params(colors=FAINT, labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=FAINT, fontsize=8.5)
    for spine in axes.spines.values():
        spine.set_color(LINE)


def add_grid(axes: Axes, which: str) -> None:
    """Adds a faint grid to the axis "x", "y" or "both", and makes the axes calm."""
    axes.grid(axis=which, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    calm(axes)
    axes.tick_params(length=0, labelsize=7.5)
    _hide_outer_spines(axes)


def png(figure: Figure) -> bytes:
    """Returns a figure as PNG without a date."""
    return _saved(figure, "png")


def _lay_out(figure: Figure) -> None:
    """Places what a figure contains, once for all of its files.

    A figure that has a layout engine when it is saved is drawn once more, to place its parts.
    """
    FigureCanvasAgg(figure)
    figure.set_dpi(DOTS_PER_INCH)
    figure.get_layout_engine().execute(figure)
    # "none" would leave a placeholder, for which Matplotlib draws each file twice.
    figure.set_layout_engine(None)


@contextlib.contextmanager
def _small_fonts() -> Iterator[None]:
    """Leaves the tables by which text is laid out away from the fonts of a PDF.

    The text of a PDF is laid out already, and fontTools needs most of its time for these tables.
    """
    original = subset.Options

    class Options(original):
        def __init__(self, **options: object) -> None:
            super().__init__(**options)
            self.drop_tables += LAYOUT_TABLES

    subset.Options = Options
    try:
        yield
    finally:
        subset.Options = original


def _saved(figure: Figure, ending: str) -> bytes:
    """Returns a figure as a file with this ending."""
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(
        content, format=ending, dpi=DOTS_PER_INCH, facecolor=GROUND, metadata=FORMATS[ending]
    )
    return content.getvalue()


def _draw_curves(axes: Axes, row: Row, name: str, factor: float) -> None:
    """Draws a metric over the epochs, of the training part and of the validation part if any."""
    axes.set_facecolor(GROUND)
    for number, run in enumerate(row.runs):
        epochs = run.history["epoch"]
        curves = [(name, TRAINING, "training part")]
        if f"val_{name}" in run.history:
            curves.append((f"val_{name}", VALIDATION, "validation part"))
        for column, colour, label in curves:
            axes.plot(
                epochs,
                factor * run.history[column],
                color=colour,
                linewidth=1.4,
                alpha=0.75,
                # A line through one point is invisible.
                marker="o" if len(epochs) == 1 else None,
                markersize=3,
                label=label if number == 0 else None,
            )
        # The dot is on the curve by which the epoch was chosen, if it was chosen.
        marked, marked_colour, _ = curves[-1]
        is_kept = epochs == run.result.get("best_epoch", -1)
        axes.plot(
            epochs[is_kept],
            factor * run.history[marked][is_kept],
            "o",
            color=marked_colour,
            markersize=5,
            markeredgecolor=GROUND,
        )


def _draw_scene(axes: Axes, rows: tuple[Row, ...], scene: str) -> None:
    """Draws a bar for each row, and a line for its interval."""
    axes.set_facecolor(GROUND)
    positions = np.arange(len(rows))
    scores = [row.summary.per_class.get(scene) for row in rows]
    widths = [100 * (score.accuracy or 0) if score else 0 for score in scores]
    colours = [_colour(row) for row in rows]
    axes.barh(positions, np.array(widths), height=0.72, color=colours, alpha=0.85)
    for position, score in zip(positions, scores, strict=True):
        if score and score.interval:
            ends = [100 * end for end in score.interval]
            axes.plot(ends, [position, position], color=INK, linewidth=1.1, solid_capstyle="butt")
    title = f"{formatting.scene(scene)} ({clips_text(scores)} clips)"
    axes.set_title(title, fontsize=8.5, color=INK, loc="left")
    axes.set_yticks(positions, [shortened(row.title, 60) for row in rows])
    axes.set_xlim(0, 100)
    add_grid(axes, "x")


def _draw_events(axes: Axes, scene: str, events: Sequence[EventInScene]) -> None:
    """Draws a dot for the effect of each event, and a line for its interval."""
    axes.set_facecolor(GROUND)
    axes.axvline(0, color=FAINT, linewidth=1)
    for position, event in enumerate(events):
        ends = [event.effect_low, event.effect_high]
        axes.plot(ends, [position, position], color=VALIDATION, linewidth=1.8)
        axes.plot(event.effect, position, "o", color=VALIDATION, markersize=5)
    axes.set_title(formatting.scene(scene), fontsize=8.5, color=INK, loc="left")
    axes.set_yticks(range(len(events)), [shortened(event.event) for event in events])
    axes.set_ylim(len(events) - 0.5, -0.5)
    add_grid(axes, "x")


def _first_events(effects: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """Returns the first events of the scenes, each beside the scene with its largest effect.

    Args:
      effects: Scene -> event -> lower end of the interval, effect, upper end.
    """
    events: set[str] = set()
    for of_scene in effects.values():
        ordered = sorted(of_scene, key=lambda event: -of_scene[event][1])
        events |= set(ordered[:EVENTS_OF_SCENE])
    keys = []
    for event in events:
        of_scenes = [of_scene[event][1] for of_scene in effects.values()]
        largest = max(of_scenes)
        # By scene, then from the largest effect to the smallest; the name decides between equals.
        keys.append((of_scenes.index(largest), -largest, event))
    return [event for _, _, event in sorted(keys)]


def shortened(name: str, most: int = 34) -> str:
    """Returns a name for a label on one line; a long one is cut, to leave room for the axes."""
    name = " ".join(name.split())
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _draw_reliability(axes: Axes, row: Row) -> None:
    """Draws accuracy over confidence, a point for each bin with clips."""
    calibration = row.summary.calibration
    bins = [found for found in calibration.bins if found.clips]
    confidence = [100 * found.confidence for found in bins]
    accuracy = [100 * found.accuracy for found in bins]
    sizes = [6 + 90 * found.clips / row.summary.clips for found in bins]
    colour = _colour(row)
    axes.set_facecolor(GROUND)
    axes.plot([0, 100], [0, 100], color=LINE, linewidth=1.2)
    axes.plot(confidence, accuracy, color=colour, linewidth=1, alpha=0.7)
    axes.scatter(confidence, accuracy, s=sizes, color=colour, alpha=0.85, linewidths=0, zorder=3)
    error = formatting.percent(calibration.expected_calibration_error)
    title = f"{_on_two_lines(row.title)}\nerror {error}"
    axes.set_title(title, fontsize=8, color=INK, loc="left")
    axes.set(xlim=(0, 103), ylim=(0, 103), aspect="equal")


def _colour(row: Row) -> str:
    return SYSTEM_COLOURS.get(row.system, FAINT)


def _on_two_lines(title: str, width: int = 26) -> str:
    """Returns a long title on two lines, so that it does not reach the next panel."""
    if len(title) <= width or " " not in title:
        return title
    cut = title.rfind(" ", 0, width)
    if cut <= 0:
        cut = title.index(" ")
    return f"{title[:cut]}\n{title[cut + 1 :]}"


def _hide_outer_spines(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _set_row_title(figure: Figure, row: Row, text: str, scope: str) -> None:
    seeds = formatting.several(len(row.seeds), "seed")
    _set_title(figure, f"{row.title}: {text}", f"{scope}, {seeds}")


def _set_title(figure: Figure, text: str, scope: str) -> None:
    """Sets the title of a figure; lines are broken where the figure ends, which makes it higher."""
    most_characters = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    given = [*text.splitlines(), scope]
    lines = []
    for line in given:
        lines += textwrap.wrap(line, most_characters)
    more_inches = INCHES_OF_TITLE_LINE * (len(lines) - len(given))
    figure.set_figheight(figure.get_figheight() + more_inches)
    figure.suptitle("\n".join(lines), fontsize=8.5, color=FAINT, x=0.02, ha="left")

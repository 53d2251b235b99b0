"""Pictures of the stored results, drawn from their JSON files as SVG.

`make docs` writes them into docs/images (write_docs.py). The identifier in the metadata of an SVG
is a digest of the plotted figures and labels, so that a test can compare a picture with the JSON
files whatever the version of Matplotlib.
"""

import abc
import dataclasses
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crossask.report import figures, formatting

if TYPE_CHECKING:
    from write_docs import Comparison, Row, Table

# A page may be dark, so a picture has a background of its own.
BACKGROUND = "white"
TITLES = {
    "demo": "demo soundscapes",
    "controls": "demo soundscapes",
    "esc10": "ESC-10",
    "esc10_controls": "ESC-10",
    "ambience": "real ambiences",
    "tut2017_embeddings": "TUT 2017",
    "tut2017_embeddings_study": "TUT 2017",
    "ambience_levels_linear": "linear, ambiences\nas recorded",
    "ambience_levels_cmam": "CMAM, ambiences\nas recorded",
    "quiet_ambience_levels_linear": "linear, ambiences\nat TAU 2019's levels",
    "quiet_ambience_levels_cmam": "CMAM, ambiences\nat TAU 2019's levels",
}
SYSTEM_STUDIES = ("demo", "esc10", "ambience")
CONTROL_STUDIES = ("controls", "esc10_controls", "ambience", "tut2017_embeddings_study")
LEVEL_STUDIES = (
    "ambience_levels_linear",
    "quiet_ambience_levels_linear",
    "ambience_levels_cmam",
    "quiet_ambience_levels_cmam",
)
EVENT_STUDIES = ("demo", "ambience", "tut2017_embeddings")
# Name of a row -> its label, in the order of the picture.
SYSTEMS = {
    "fa": "FA (without events)",
    "vem_feature_based": "VEM feature-based",
    "jrm_feature_based": "JRM feature-based",
    "cmam_feature_based": "CMAM feature-based",
    "vem_fine_tuning": "VEM fine-tuning",
    "jrm_fine_tuning": "JRM fine-tuning",
    "cmam_fine_tuning": "CMAM fine-tuning",
    "vem_from_scratch": "VEM from scratch",
    "jrm_from_scratch": "JRM from scratch",
    "cmam_from_scratch": "CMAM from scratch",
    "linear": "linear, on the embeddings",
}
NO_EVENTS = "without events (FA)"
# Decimals of the plotted figures: another machine may compute other last digits.
DIGITS = 4

Effects = Mapping[str, Mapping[str, Sequence[float]]]  # scene -> event -> low, effect, high


@dataclasses.dataclass(frozen=True)
class Point:
    """A value with its interval.

    Attributes:
      label: What it is the value of.
      value: The value, in per cent or points.
      low: Lower end of the interval.
      high: Upper end of the interval.
      look: "reference", "plain", "better", "worse" or "open".
    """

    label: str
    value: float
    low: float
    high: float
    look: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """The points of one study."""

    title: str
    points: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Picture(abc.ABC):
    """A picture of stored results.

    Attributes:
      name: Name of the file, without its ending.
      alt: What it shows, for readers who cannot see it.
    """

    name: str
    alt: str

    @property
    def digest(self) -> str:
        """A digest of everything that is plotted."""
        content = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    @abc.abstractmethod
    def figure(self) -> Figure:
        """Draws the picture."""

    def svg(self) -> str:
        """Returns the picture as SVG; one version of Matplotlib always returns the same."""
        metadata = {"Date": None, "Creator": None, "Identifier": self.digest, "Title": self.alt}
        figure = self.figure()
        content = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": "crossask", "svg.fonttype": "path"}):
            FigureCanvasSVG(figure)
            figure.savefig(content, format="svg", facecolor=BACKGROUND, metadata=metadata)
        return "\n".join(line.rstrip() for line in content.getvalue().splitlines()) + "\n"


@dataclasses.dataclass(frozen=True)
class Intervals(Picture):
    """Points with intervals, a panel for each study; equal labels of the panels share a line.

    Attributes:
      panels: The panels.
      axis: What the horizontal axes show.
      labels: The labels of all panels, from top to bottom.
      has_zero: Whether the axes have a line at zero.
    """

    panels: tuple[Panel, ...]
    axis: str
    labels: tuple[str, ...]
    has_zero: bool = False

    def figure(self) -> Figure:
        """Draws the panels side by side."""
        figure = Figure(
            figsize=(9.2, 1.0 + 0.24 * len(self.labels)), facecolor=BACKGROUND, layout="constrained"
        )
        row = figure.subplots(1, len(self.panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(row, self.panels, strict=True):
            self._draw(axes, panel)
        row[0].set_yticks(range(len(self.labels)), self.labels)
        row[0].tick_params(axis="y", labelcolor=figures.INK, labelsize=8.5)
        row[0].set_ylim(len(self.labels) - 0.5, -0.5)
        figure.supxlabel(self.axis, fontsize=8.5, color=figures.FAINT)
        return figure

    def _draw(self, axes: Axes, panel: Panel) -> None:
        axes.set_facecolor(BACKGROUND)
        if self.has_zero:
            axes.axvline(0, color=figures.FAINT, linewidth=1)
        for point in panel.points:
            line = self.labels.index(point.label)
            colour = LOOKS[point.look]
            axes.plot([point.low, point.high], [line, line], color=colour, linewidth=1.8)
            face = BACKGROUND if point.look == "open" else colour
            axes.plot(point.value, line, "o", color=colour, markersize=5.5, markerfacecolor=face)
            if point.look == "reference":
                axes.axvline(point.value, color=colour, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=(1, 2, 5, 10)))
        axes.set_title(panel.title, fontsize=8.5, color=figures.INK, loc="left")
        figures.add_grid(axes, "x")


@dataclasses.dataclass(frozen=True)
class EventMatrix(Picture):
    """The effects of the scenes on the events that stand out in any of them.

    Attributes:
      effects: Scene -> event -> lower end of the interval, effect, upper end.
    """

    effects: Effects

    def figure(self) -> Figure:
        """Draws the matrix of the report."""
        figure = figures.event_matrix(self.effects)
        figure.set_facecolor(BACKGROUND)
        return figure


# Look of a point -> its colour.
LOOKS = {
    "reference": figures.VALIDATION,
    "plain": figures.INK,
    "better": figures.VALIDATION,
    "worse": figures.TRAINING,
    "open": figures.FAINT,
}


def pictures(tables: Mapping[str, "Table"], control_labels: Mapping[str, str]) -> list[Picture]:
    """Returns the pictures of the results that are stored.

    Args:
      tables: Name of a JSON file -> its table.
      control_labels: What a control has instead of the embeddings -> its label.
    """
    return [
        *_systems(tables),
        *_controls(tables, control_labels),
        *_levels(tables),
        *_events(tables),
    ]


def digest_of(svg: str) -> str:
    """Returns the digest in the metadata of an SVG; "" without one."""
    found = re.search(r"<dc:identifier>(.*?)</dc:identifier>", svg)
    return found[1] if found else ""


def _systems(tables: Mapping[str, "Table"]) -> Iterator[Picture]:
    panels = []
    summaries = []
    for study in SYSTEM_STUDIES:
        if study not in tables:
            continue
        points = []
        for name, label in SYSTEMS.items():
            if name in tables[study].rows:
                look = "reference" if name == "fa" else "plain"
                points.append(_score(tables[study].row(name), label, look))
        panels.append(Panel(_title(tables[study]), tuple(points)))
        summaries.append(f"{TITLES[study]}: {_summary(points)}")
    if panels:
        yield Intervals(
            name="systems",
            alt=f"Macro accuracy of the systems with 95 % intervals: {'; '.join(summaries)}.",
            panels=tuple(panels),
            axis="macro accuracy (%) with 95 % intervals; the line is FA's score",
            labels=_used(SYSTEMS.values(), panels),
        )


def _controls(tables: Mapping[str, "Table"], labels: Mapping[str, str]) -> Iterator[Picture]:
    panels = []
    summaries = []
    for study in CONTROL_STUDIES:
        # Older files have no entry.
        if study not in tables or not tables[study].corpus.get("controls"):
            continue
        table = tables[study]
        points = []
        without_events = table.between(table.reference.name, "fa")
        if without_events is not None:
            points.append(_difference(without_events, NO_EVENTS))
        for control in table.controls:
            points.append(_difference(control.found, labels[control.about]))
        system = table.reference.content["system"]
        panels.append(Panel(f"{system} on\n{_title(table)}", tuple(points)))
        lower = [point.label for point in points if point.look == "better"]
        if lower:
            listed = formatting.listed(lower, "and")
            summaries.append(f"On {TITLES[study]}, {system} scores higher than {listed}.")
    if panels:
        yield Intervals(
            name="controls",
            alt=" ".join(
                (
                    "Differences of macro accuracy between a system with events and its controls, "
                    "with 95 % intervals.",
                    *summaries,
                )
            ),
            panels=tuple(panels),
            axis=(
                "points of macro accuracy: the system minus the row on the left, with 95 % "
                "intervals\n(open dots: no verdict, because adjusted p is 0.05 or more or there is "
                "one seed)"
            ),
            labels=_used((NO_EVENTS, *labels.values()), panels),
            has_zero=True,
        )


def _levels(tables: Mapping[str, "Table"]) -> Iterator[Picture]:
    panels = []
    summaries = []
    labels: dict[str, None] = {}  # as an ordered set
    for study in LEVEL_STUDIES:
        if study not in tables:
            continue
        points = []
        for row in tables[study].rows.values():
            label = _level_label(row.name)
            labels[label] = None
            points.append(_score(row, label, "plain" if row.difference else "reference"))
        panels.append(Panel(_title(tables[study]), tuple(points)))
        title = TITLES[study].replace("\n", " ")
        summaries.append(f"{title}: {_summary(points)}")
    if panels:
        yield Intervals(
            name="levels",
            alt=(
                "Macro accuracy by the level at which the event model reads ambiences, with 95 % "
                f"intervals: {'; '.join(summaries)}."
            ),
            panels=tuple(panels),
            axis="macro accuracy (%) with 95 % intervals; the line is the score of the first row",
            labels=tuple(labels),
        )


def _events(tables: Mapping[str, "Table"]) -> Iterator[Picture]:
    for study in EVENT_STUDIES:
        if study not in tables or not tables[study].corpus.get("scene_events"):
            continue
        found = tables[study].corpus["scene_events"]
        first = []
        for event in found["events"]:
            if event["rank"] == 1:
                first.append(f"{formatting.scene(event['scene'])}: {event['event']}")
        yield EventMatrix(
            name=f"events_{study}",
            alt=(
                f"Matrix of the events that stand out in the scenes of {TITLES[study]}. The first "
                f"event of each scene: {'; '.join(first)}."
            ),
            effects=_rounded(found["effects"]),
        )


def _score(row: "Row", label: str, look: str) -> Point:
    """Returns the score of a row in per cent."""
    interval = row.content["interval"]
    ends = (_percent(interval["low"]), _percent(interval["high"]))
    return Point(label, _percent(row.value), *ends, look)


def _difference(found: "Comparison", label: str) -> Point:
    """Returns a difference in points."""
    look = found.verdict if found.verdict in ("better", "worse") else "open"
    return Point(label, _percent(found.value), _percent(found.low), _percent(found.high), look)


def _percent(fraction: float) -> float:
    return round(100 * fraction, DIGITS)


def _rounded(effects: Effects) -> Effects:
    rounded: dict[str, dict[str, tuple[float, ...]]] = {}
    for scene, of_scene in effects.items():
        rounded[scene] = {}
        for event, ends in of_scene.items():
            rounded[scene][event] = tuple(round(end, DIGITS) for end in ends)
    return rounded


def _used(labels: Iterable[str], panels: Sequence[Panel]) -> tuple[str, ...]:
    """Returns the labels that a panel has."""
    used = set()
    for panel in panels:
        used |= {point.label for point in panel.points}
    return tuple(label for label in labels if label in used)


def _title(table: "Table") -> str:
    seeds = max(row.seeds for row in table.rows.values())
    of_seeds = formatting.several(seeds, "seed")
    return f"{TITLES[table.name]}\n{table.clips} clips, {of_seeds}"


def _summary(points: Sequence[Point]) -> str:
    """Returns the scores of the reference and of the best other row."""
    others = [point for point in points if point.look != "reference"]
    shown = [point for point in points if point.look == "reference"]
    if others:
        shown.append(max(others, key=lambda point: point.value))
    return ", ".join(f"{point.label} {point.value:.1f} %" for point in shown)


def _level_label(name: str) -> str:
    """Returns "at −20 dBFS" for "cmam_feature_based_at_minus_20_dbfs"."""
    _, _, level = name.partition("_at_minus_")
    return f"at −{level.removesuffix('_dbfs')} dBFS" if level else "no level set"

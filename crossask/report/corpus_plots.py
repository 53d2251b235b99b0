"""Pictures of a whole corpus, a panel a scene or a row: accuracy by scene, and whether confidence can be believed."""

import math

import numpy as np
from matplotlib.figure import Figure

from crossask.report import choices, words
from crossask.report.plots import FAINT, GROUND, INK, LINE, TRAINING, VALIDATION, calm, png
from crossask.report.tables import CorpusTable

COLOURS = {
    "FA": "#6d747b",
    "VEM": "#8a6fa8",
    "JRM": "#c2703d",
    "CMAM": "#1f6f78",
}  # any other system is FAINT
PANELS_A_LINE = 3


def scenes_png(table: CorpusTable) -> bytes:
    """A panel a scene, in it a bar a row with the interval of that scene's accuracy; all panels on one scale, 0 to 100 %."""
    scenes, lines = table.rows[0].summary["scenes"], table.rows
    across = min(PANELS_A_LINE, len(scenes))
    down = math.ceil(len(scenes) / across)
    panel = 0.55 + 0.17 * len(lines)
    figure = Figure(
        figsize=(1.8 + 2.2 * across, 0.7 + panel * down), facecolor=GROUND, layout="constrained"
    )
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    places = np.arange(len(lines))
    for number, axes in enumerate(panels.flat):
        if number >= len(scenes):
            axes.set_visible(False)
            continue
        found = [line.summary["per_class"].get(scenes[number]) or {} for line in lines]
        heights = np.array([100 * (of.get("accuracy") or 0) for of in found])
        axes.set_facecolor(GROUND)
        axes.barh(places, heights, height=0.72, color=[_colour(line) for line in lines], alpha=0.85)
        for place, of in zip(places, found, strict=True):
            if of.get("interval"):
                low, high = (100 * end for end in of["interval"])
                axes.plot(
                    [low, high], [place, place], color=INK, linewidth=1.1, solid_capstyle="butt"
                )
        clips = sorted({of["clips"] for of in found if of})
        axes.set_title(
            f"{scenes[number].replace('_', ' ')} ({', '.join(map(str, clips))} clips)",
            fontsize=8.5,
            color=INK,
            loc="left",
        )
        axes.set_yticks(places, [line.title for line in lines])
        axes.set_xlim(0, 100)
        _grid(axes, "x")
    panels[0, 0].invert_yaxis()
    for axes in panels.flat[max(0, len(scenes) - across) :]:
        axes.tick_params(labelbottom=True)
    confidence = f"{100 * lines[0].summary['interval']['confidence']:.0f} %"
    _title(
        figure,
        f"Accuracy by scene (per cent, mean over seeds; lines are {confidence} intervals)\n{table.scope(metric='')}",
    )
    return png(figure)


def reliability_png(table: CorpusTable) -> bytes:
    """A panel a row: the share of right answers by confidence; below the diagonal a row is surer than it is right."""
    lines = table.rows
    across = min(4, len(lines))
    down = math.ceil(len(lines) / across)
    figure = Figure(
        figsize=(max(0.6 + 2.1 * across, 4.6), 0.9 + 2.3 * down),
        facecolor=GROUND,
        layout="constrained",
    )
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number >= len(lines):
            axes.set_visible(False)
            continue
        line, calibration = lines[number], lines[number].summary["calibration"]
        bins = [one for one in calibration["bins"] if one["clips"]]
        confidence, accuracy = (
            [100 * one[name] for one in bins] for name in ("confidence", "accuracy")
        )
        sizes = [6 + 90 * one["clips"] / line.summary["clips"] for one in bins]
        axes.set_facecolor(GROUND)
        axes.plot([0, 100], [0, 100], color=LINE, linewidth=1.2)
        axes.plot(confidence, accuracy, color=_colour(line), linewidth=1, alpha=0.7)
        axes.scatter(
            confidence, accuracy, s=sizes, color=_colour(line), alpha=0.85, linewidths=0, zorder=3
        )
        error = f"error {words.percent(calibration['expected_calibration_error'])}"
        axes.set_title(f"{_folded(line.title)}\n{error}", fontsize=8, color=INK, loc="left")
        axes.set(xlim=(0, 103), ylim=(0, 103), aspect="equal")
        if number % across == 0:
            axes.set_ylabel("right (%)")
        if number + across >= len(lines):
            axes.set_xlabel("confidence (%)")
            axes.tick_params(labelbottom=True)
        _grid(axes, "both")
    _title(
        figure,
        f"Reliability: how often a row is right at each confidence (dots: size is clips)\n{table.scope(metric='')}",
    )
    return png(figure)


def choices_png(table: CorpusTable) -> bytes:
    """What each moved choice of `table.study` does, in points with its interval; below, the sizes of the paper's differences."""
    found, stated = table.study, choices.differences_in_the_paper()
    moved = [one for one in found.moved if one.found]
    figure = Figure(figsize=(7.6, 1.5 + 0.3 * len(moved)), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.axvline(0, color=FAINT, linewidth=1)
    for place, one in enumerate(moved):
        colour = {"better": VALIDATION, "worse": TRAINING}.get(one.verdict, FAINT)
        axes.plot(
            [100 * one.found["interval"][end] for end in ("low", "high")],
            [place, place],
            color=colour,
            linewidth=1.8,
        )
        axes.plot(
            100 * one.found["difference"],
            place,
            "o",
            color=colour,
            markersize=6,
            markerfacecolor=GROUND if colour == FAINT else colour,
        )
    axes.plot(
        [points for _, points in stated], [len(moved)] * len(stated), "|", color=INK, markersize=11
    )
    names = [f"{one.field} = {words.plain(one.value)}" for one in moved]
    axes.set_yticks(range(len(moved) + 1), [*names, f"the paper's {len(stated)} differences"])
    axes.invert_yaxis()
    axes.set_xlabel("points of macro accuracy")
    _grid(axes, "x")
    axes.tick_params(axis="y", labelsize=8)
    confidence = f"{100 * found.reference.summary['interval']['confidence']:.0f} %"
    _title(
        figure,
        f"One open choice moved: the row minus {found.reference.title} ({confidence} intervals; open dots cannot be told from nothing)\n"
        f"{table.scope(metric='')}; the paper's differences are of other clips and have no intervals",
    )
    return png(figure)


def _colour(line) -> str:
    return COLOURS.get(line.row.experiment.get("system"), FAINT)


def _folded(title: str, wide: int = 26) -> str:
    """A long title over two lines, so that it does not run into its neighbour."""
    if len(title) <= wide or " " not in title:
        return title
    cut = title.rfind(" ", 0, wide)
    cut = cut if cut > 0 else title.index(" ")
    return f"{title[:cut]}\n{title[cut + 1 :]}"


def _grid(axes, which: str):
    axes.grid(axis=which, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    calm(axes)
    axes.tick_params(length=0, labelsize=7.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _title(figure, text: str):
    figure.suptitle(text, fontsize=8.5, color=FAINT, x=0.02, ha="left")

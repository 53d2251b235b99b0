"""Draws predictions and explanations as PNG pictures.

Figures are created without pyplot, whose state would be shared by threads that draw at once.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from crossask.report.figures import GROUND, INK, LINE, SHADES, calm, png, shortened
from crossask.serving import Explanation, Prediction

WIDTH_INCHES = 6.8
ATTENTION_COLOUR = "#b4552d"
EVENT_ATTENTION_COLOUR = "#6b4a8c"
# Number of scenes in a timeline.
SHOWN_SCENES = 10
# Keeps a curve visible on top of the log-mel.
OUTLINE = (patheffects.withStroke(linewidth=3.6, foreground=GROUND),)
# Name of an attention pooling in `Explanation.attention`, its label, and the colour of its curves.
POOLINGS = (
    ("pooling", "attention", ATTENTION_COLOUR),
    ("event_pooling", "attention to events", EVENT_ATTENTION_COLOUR),
)


def timeline_png(prediction: Prediction, explanation: Explanation) -> bytes:
    """Draws the probabilities of the most probable scenes over time; silent windows are empty.

    Args:
      prediction: The prediction; the most probable scene is on top.
      explanation: The explained window, around which a frame is drawn.
    """
    scenes = [scene for scene, _ in prediction.top(SHOWN_SCENES)]
    percentages = []
    for scene in scenes:
        row = []
        for segment in prediction.timeline:
            # Matplotlib draws no cell where a value is no number.
            row.append(math.nan if segment.is_silent else 100 * segment.probabilities[scene])
        percentages.append(row)

    figure = _figure(0.95 + 0.2 * len(scenes))
    axes = figure.add_subplot(facecolor=GROUND)
    mesh = axes.pcolormesh(
        _window_borders(prediction),
        np.arange(len(scenes) + 1),
        percentages,
        cmap=SHADES,
        vmin=0,
        vmax=100,
    )
    frame = Rectangle(
        (explanation.start_seconds, 0),
        explanation.end_seconds - explanation.start_seconds,
        len(scenes),
        fill=False,
        edgecolor=ATTENTION_COLOUR,
        linewidth=2,
        clip_on=False,
        zorder=3,
    )
    axes.add_patch(frame)
    _label_rows(axes, scenes)
    axes.set_xlabel("time (s)")
    _add_colour_bar(figure, mesh, axes, "probability (%)")
    _style(axes)
    return png(figure)


def events_png(explanation: Explanation) -> bytes | None:
    """Draws the scores of the events with the highest mean over the time of a window.

    Args:
      explanation: The window.

    Returns:
      The picture, or None for a model that computes no scores of events.
    """
    events = [event for event, _ in explanation.top_events()]
    if not events:
        return None
    rows = []
    for event in events:
        rows.append(100 * explanation.event_scores[:, explanation.events.index(event)])
    patches = len(explanation.event_scores)
    figure = _figure(0.95 + 0.2 * len(events))
    axes = figure.add_subplot(facecolor=GROUND)
    mesh = axes.pcolormesh(
        np.linspace(explanation.start_seconds, explanation.end_seconds, patches + 1),
        np.arange(len(events) + 1),
        rows,
        cmap=SHADES,
        vmin=0,
        vmax=100,
    )
    _label_rows(axes, events)
    axes.set_xlabel("time (s)")
    _add_colour_bar(figure, mesh, axes, "score (%)")
    _style(axes)
    return png(figure)


def window_png(
    explanation: Explanation, cross_axes: tuple[str, str] = ("query", "key")
) -> bytes | None:
    """Draws the log-mel of a window under the attention over time, and the cross-attention below.

    Args:
      explanation: The window.
      cross_axes: Names of the two sides of the cross-attention: queries and keys.

    Returns:
      The picture, or None for a model that reads no log-mel and has no attention.
    """
    has_pooling = any(name in explanation.attention for name, _, _ in POOLINGS)
    has_upper_panel = has_pooling or explanation.log_mel is not None
    has_cross = "cross" in explanation.attention
    panels = 0
    if has_upper_panel:
        panels += 1
    if has_cross:
        panels += 1
    if panels == 0:
        return None

    figure = _figure(0.4 + 2.3 * panels)
    all_axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    all_axes[-1].set_xlabel("time (s)")
    if has_upper_panel:
        _draw_log_mel(all_axes[0], explanation)
    if has_pooling:
        _draw_pooling(all_axes[0].twinx(), explanation)
    if has_cross:
        _draw_cross_attention(all_axes[-1], explanation, cross_axes)
    for axes in all_axes:
        axes.set_facecolor(GROUND)
        axes.set_xlim(explanation.start_seconds, explanation.end_seconds)
        _style(axes)
    return png(figure)


def _figure(height_inches: float) -> Figure:
    return Figure(figsize=(WIDTH_INCHES, height_inches), facecolor=GROUND, layout="constrained")


def _label_rows(axes: Axes, names: Sequence[str]) -> None:
    """Labels the rows of a picture, the first one on top."""
    labels = [shortened(name.replace("_", " ")) for name in names]
    # A name comes from a file, and a dollar sign in it does not start a formula.
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels, parse_math=False)
    axes.invert_yaxis()


def _add_colour_bar(figure: Figure, mesh: QuadMesh, axes: Axes, label: str) -> None:
    bar = figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label(label)
    bar.outline.set_visible(False)
    _style(bar.ax)


def _window_borders(prediction: Prediction) -> np.ndarray:
    """Returns the borders [windows + 1] of the timeline's cells in seconds.

    Windows overlap, so a cell reaches half-way to the centres of the neighbouring windows.
    """
    centres = []
    for segment in prediction.timeline:
        centres.append((segment.start_seconds + segment.end_seconds) / 2)
    centres = np.array(centres)
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[0], inner, [prediction.seconds]])


def _draw_log_mel(axes: Axes, explanation: Explanation) -> None:
    """Draws the log-mel, averaged over channels, or empty axes if there is none."""
    if explanation.log_mel is None:
        axes.set_yticks([])
        return
    values = explanation.log_mel.mean(-1).T  # [mels, frames]
    # A few very quiet or loud values must not make the rest of the picture flat.
    low, high = np.percentile(values, (5, 99.5))
    axes.imshow(
        values,
        cmap=SHADES,
        vmin=low,
        vmax=high,
        extent=(explanation.start_seconds, explanation.end_seconds, 0, len(values)),
        origin="lower",
        aspect="auto",
    )
    axes.set_ylabel("mel band")


def _draw_pooling(axes: Axes, explanation: Explanation) -> None:
    """Draws the attention of each pooling over time.

    Thin lines are single heads, a bold line is their mean.
    """
    highest = 0.0
    for name, label, colour in POOLINGS:
        if name not in explanation.attention:
            continue
        heads = 100 * explanation.attention[name]  # [heads, steps]
        steps = heads.shape[1]
        edges = np.linspace(explanation.start_seconds, explanation.end_seconds, steps + 1)
        for number, head in enumerate(heads):
            # One entry in the legend for all heads.
            head_label = f"{label}, {len(heads)} heads" if number == 0 else None
            axes.stairs(
                head,
                edges,
                baseline=None,
                color=colour,
                linewidth=1.1,
                alpha=0.7,
                label=head_label,
            )
        axes.stairs(
            heads.mean(0),
            edges,
            baseline=None,
            color=colour,
            linewidth=2,
            label=f"{label}, mean",
            path_effects=OUTLINE,
        )
        highest = max(highest, heads.max())
    # Leave space for the legend.
    axes.set_ylim(0, 1.3 * highest)
    axes.set_ylabel("share of attention (%)")
    axes.legend(
        loc="upper right",
        ncols=2,
        fontsize=8,
        labelcolor=INK,
        facecolor=GROUND,
        edgecolor=LINE,
        framealpha=0.9,
    )
    _style(axes)


def _draw_cross_attention(
    axes: Axes, explanation: Explanation, cross_axes: tuple[str, str]
) -> None:
    """Draws the cross-attention, averaged over heads: queries upwards, keys to the right."""
    heads = explanation.attention["cross"]  # [heads, queries, keys]
    window = (explanation.start_seconds, explanation.end_seconds)
    axes.imshow(
        heads.mean(0),
        cmap=SHADES,
        vmin=0,
        extent=(*window, *window),
        origin="lower",
        aspect="auto",
    )
    query, key = cross_axes
    axes.set_ylabel(f"{query} (s)")
    title = (
        f"cross-attention, mean of {len(heads)} heads: {query} times (vertical) attend to {key} "
        "times (horizontal)"
    )
    axes.set_title(title, loc="left", color=INK, fontsize=9)


def _style(axes: Axes) -> None:
    """Styles axes as in the report, but with dark labels, which are easier to read on a screen."""
    calm(axes)
    axes.tick_params(labelcolor=INK, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)

"""Pictures of an answer as PNG bytes. Figures are objects of their own, so that threads can draw at once; pyplot would share them."""

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from crossask.report.figures import GROUND, INK, LINE, SHADES, calm, png
from crossask.serving import Explanation, Prediction

WIDTH = 6.8  # inches
ATTENTION, OTHER_ATTENTION = "#b4552d", "#6b4a8c"
SHOWN_SCENES = 10
OUTLINE = [patheffects.withStroke(linewidth=3.6, foreground=GROUND)]
POOLINGS = (
    ("pooling", "attention", ATTENTION),
    ("event_pooling", "attention to events", OTHER_ATTENTION),
)


def timeline_png(prediction: Prediction, explanation: Explanation) -> bytes:
    """Probabilities over time, the most probable scene on top; the explained window is framed."""
    scenes = [scene for scene, _ in prediction.top(SHOWN_SCENES)]
    values = [
        [100 * segment.probabilities[scene] for segment in prediction.timeline] for scene in scenes
    ]
    figure = Figure(
        figsize=(WIDTH, 0.95 + 0.2 * len(scenes)), facecolor=GROUND, layout="constrained"
    )
    axes = figure.add_subplot(facecolor=GROUND)
    mesh = axes.pcolormesh(
        _edges(prediction), np.arange(len(scenes) + 1), values, cmap=SHADES, vmin=0, vmax=100
    )
    explained = (
        (explanation.start_seconds, 0),
        explanation.end_seconds - explanation.start_seconds,
        len(scenes),
    )
    axes.add_patch(
        Rectangle(*explained, fill=False, edgecolor=ATTENTION, linewidth=2, clip_on=False, zorder=3)
    )
    axes.set_yticks(np.arange(len(scenes)) + 0.5, [scene.replace("_", " ") for scene in scenes])
    axes.invert_yaxis()
    axes.set_xlabel("time (s)")
    bar = figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label("probability (%)")
    bar.outline.set_visible(False)
    for panel in (axes, bar.ax):
        _legible(panel)
    return png(figure)


def window_png(
    explanation: Explanation, cross_axes: tuple[str, str] = ("query", "key")
) -> bytes | None:
    """The log-mel of a window with the share of attention of each step drawn over it, and below it the cross-attention, if any.

    Args:
      cross_axes: what asks and what is looked at, in words.

    Returns:
      None where the model reads no log-mel and has no attention.
    """
    cross, pooled = (
        explanation.attention.get("cross"),
        [name for name, _, _ in POOLINGS if name in explanation.attention],
    )
    panels = (explanation.log_mel is not None or bool(pooled)) + (cross is not None)
    if not panels:
        return None
    figure = Figure(figsize=(WIDTH, 0.4 + 2.3 * panels), facecolor=GROUND, layout="constrained")
    rows = list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
    rows[-1].set_xlabel("time (s)")
    if explanation.log_mel is not None or pooled:
        _draw_log_mel(rows[0], explanation)
        if pooled:
            _draw_attention(rows[0].twinx(), explanation)
    if cross is not None:
        _draw_cross(rows[-1], explanation, cross_axes)
    for axes in rows:
        axes.set_facecolor(GROUND)
        axes.set_xlim(explanation.start_seconds, explanation.end_seconds)
        _legible(axes)
    return png(figure)


def _draw_log_mel(axes, explanation: Explanation):
    if explanation.log_mel is None:
        axes.set_yticks([])
        return
    values = explanation.log_mel.mean(-1).T  # [mels, frames]
    low, high = np.percentile(values, (5, 99.5))
    extent = (explanation.start_seconds, explanation.end_seconds, 0, len(values))
    axes.imshow(
        values, cmap=SHADES, vmin=low, vmax=high, extent=extent, origin="lower", aspect="auto"
    )
    axes.set_ylabel("mel band")


def _draw_attention(axes, explanation: Explanation):
    for name, label, colour in POOLINGS:
        if name not in explanation.attention:
            continue
        heads = 100 * explanation.attention[name]  # [heads, steps]
        edges = np.linspace(explanation.start_seconds, explanation.end_seconds, heads.shape[1] + 1)
        for number, head in enumerate(heads):
            words = f"{label}, each of {len(heads)} heads" if number == 0 else None
            axes.stairs(
                head, edges, baseline=None, color=colour, linewidth=1.1, alpha=0.7, label=words
            )
        axes.stairs(
            heads.mean(0),
            edges,
            baseline=None,
            color=colour,
            linewidth=2,
            label=f"{label}, their mean",
            path_effects=OUTLINE,
        )
    axes.set_ylim(
        0,
        1.3
        * max(
            100 * explanation.attention[name].max()
            for name, _, _ in POOLINGS
            if name in explanation.attention
        ),
    )
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
    _legible(axes)


def _draw_cross(axes, explanation: Explanation, cross_axes):
    heads = explanation.attention["cross"]  # [heads, queries, keys]
    window = (explanation.start_seconds, explanation.end_seconds)
    axes.imshow(
        heads.mean(0), cmap=SHADES, vmin=0, extent=(*window, *window), origin="lower", aspect="auto"
    )
    query, key = cross_axes
    axes.set_ylabel(f"{query} (s)")
    words = f"cross-attention, mean of {len(heads)} heads: where each {query} (up) looks in the {key} (across)"
    axes.set_title(words, loc="left", color=INK, fontsize=9)


def _edges(prediction: Prediction) -> np.ndarray:
    """Moments [windows + 1] between which each window stands for the recording: half-way to the next window's middle."""
    middles = np.array(
        [(segment.start_seconds + segment.end_seconds) / 2 for segment in prediction.timeline]
    )
    return np.concatenate([[0], (middles[1:] + middles[:-1]) / 2, [prediction.seconds]])


def _legible(axes):
    """The report's calm axes with words in ink: a page is read at arm's length."""
    calm(axes)
    axes.tick_params(labelcolor=INK, labelsize=9)
    for words in (axes.xaxis.label, axes.yaxis.label):
        words.set(color=INK, fontsize=9)

"""Pictures of a report as PNG bytes: the same runs give the same bytes, so nothing in them tells the date."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from crossask.report.rows import TableRow

# a light ground of their own: the pictures stay legible in a dark page and on paper
GROUND, INK, FAINT, LINE = "#fbfaf7", "#23282d", "#6d747b", "#dedbd3"
VALIDATION, TRAINING = "#1f6f78", "#c2703d"
SHADES = LinearSegmentedColormap.from_list(
    "calm", (GROUND, "#bcd8d9", "#5ea3a8", "#1f6f78", "#0d4047")
)
DOTS_PER_INCH = 130


def confusion_png(line: TableRow, scope: str) -> bytes:
    """Rows are the truth and sum to 100 %; each cell is the mean over seeds."""
    scenes = line.summary["scenes"]
    counts = np.array(line.summary["confusion"], float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.zeros_like(counts), where=totals > 0)
    size = 1.9 + 0.36 * len(scenes)
    figure = Figure(figsize=(size + 0.8, size), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=100)
    for (truth, predicted), share in np.ndenumerate(shares):
        if share >= 0.5:
            number = axes.text(
                predicted,
                truth,
                f"{share:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color=GROUND if share > 45 else INK,
            )
            number.set_in_layout(
                False
            )  # inside the axes anyway; measuring each takes longer than drawing them
    names = [scene.replace("_", " ") for scene in scenes]
    axes.set_xticks(range(len(scenes)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(scenes)),
        [f"{name} ({total:.0f})" for name, total in zip(names, totals[:, 0], strict=True)],
    )
    axes.set_xlabel("predicted scene")
    axes.set_ylabel("true scene (clips)")
    _titles(figure, line, scope, "per cent of the true scene's clips")
    calm(axes)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return png(figure)


def curves_png(line: TableRow, scope: str) -> bytes:
    """Macro accuracy and loss by epoch; a line a run (seed and fold), the epoch that was kept marked on it."""
    figure = Figure(figsize=(8.4, 3.5), facecolor=GROUND, layout="constrained")
    accuracy, loss = figure.subplots(1, 2)
    for panel, name, factor, label in (
        (accuracy, "macro_accuracy", 100, "macro accuracy (%)"),
        (loss, "loss", 1, "loss (nats)"),
    ):
        panel.set_facecolor(GROUND)
        for number, run in enumerate(line.row.runs):
            history = run.history
            for column, colour, words in (
                (name, TRAINING, "training part"),
                (f"val_{name}", VALIDATION, "validation part"),
            ):
                values = factor * history[column]
                panel.plot(
                    history["epoch"],
                    values,
                    color=colour,
                    linewidth=1.4,
                    alpha=0.75,
                    marker="o" if len(history) == 1 else None,
                    markersize=3,
                    label=words if number == 0 else None,
                )
                if column.startswith("val_"):
                    kept = history["epoch"] == run.result.get("best_epoch", -1)
                    panel.plot(
                        history["epoch"][kept],
                        values[kept],
                        "o",
                        color=VALIDATION,
                        markersize=5,
                        markeredgecolor=GROUND,
                    )
        panel.set_xlabel("epoch")
        panel.set_ylabel(label)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(axis="y", color=LINE, linewidth=0.7)
        panel.set_axisbelow(True)
        calm(panel)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    accuracy.set_ylim(0, 102)
    loss.set_ylim(bottom=0)
    accuracy.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    runs = len(line.row.runs)
    _titles(
        figure,
        line,
        scope,
        f"{runs} run{'s' if runs > 1 else ''}, a line each; the dot is the epoch kept",
    )
    return png(figure)


def _titles(figure, line: TableRow, scope: str, second: str):
    seeds = len(line.row.seeds)
    figure.suptitle(
        f"{line.title}: {second}\n{scope}, {seeds} seed{'s' if seeds > 1 else ''}",
        fontsize=8.5,
        color=FAINT,
        x=0.02,
        ha="left",
    )


def calm(axes):
    """Faint labels and axes: the figures speak."""
    axes.tick_params(colors=FAINT, labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=FAINT, fontsize=8.5)
    for side in axes.spines.values():
        side.set_color(LINE)


def png(figure: Figure) -> bytes:
    """`figure` as PNG without a date."""
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(
        picture, format="png", dpi=DOTS_PER_INCH, facecolor=GROUND, metadata={"Software": None}
    )
    return picture.getvalue()

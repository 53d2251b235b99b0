"""Tables that the Markdown and the page share, as text: what stands beside the paper, what it leaves open, scores beyond accuracy."""

import dataclasses

from crossask.report import beside, choices, events, published, words
from crossask.report.tables import CorpusTable

BLANK = ""


@dataclasses.dataclass(frozen=True)
class Grid:
    """A titled table of text; every line has a cell a column, and the first cell names the line."""

    title: str
    intro: str
    header: tuple[str, ...] = ()
    body: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    text_columns: tuple[
        int, ...
    ] = ()  # beside the first, columns of words: figures stand to the right


def beside_paper(table: CorpusTable) -> Grid:
    """Our scores, the paper's, and what a difference of theirs is worth."""
    title = "Beside the paper"
    if not table.cells:
        if table.name not in published.PAPER_CLIPS:
            return Grid(
                title, f"The paper has no scores of {table.title}: none of its figures stands here."
            )
        if any(line.row.experiment.get("paper_score") is not None for line in table.rows):
            clips = published.PAPER_CLIPS[table.name]
            return Grid(
                title,
                f"The paper's figures are left out: they are of all {clips} clips of its folds of {table.name}.",
            )
        return Grid(title, "No row here stands for one of the paper's: its figures are left out.")
    body, notes = [], list(beside.contradicted(table.name, table.rows))
    for cell in table.cells:
        ours = _ours(cell.line)
        paper = (
            f"{cell.paper_percent:.1f}"
            if cell.paper_percent is not None
            else {"blank": BLANK}.get(cell.state, cell.state)
        )
        body.append((cell.title, *ours, paper, *_apart(cell.against)))
        if cell.official:
            body.append(
                (
                    f"{cell.title}, official",
                    *ours,
                    cell.official.text,
                    *_apart(cell.against_official),
                )
            )
            notes.append(f"Official: {cell.official.source}.")
            notes += _folds_beside(cell)
    notes.append(
        "“agrees” and “differs” say whether the printed number lies within ± of ours; ± holds the chance of the locations and, of several "
        "seeds, that of the training. “cannot tell”: ± is too wide to say. The printed numbers come without intervals of their own."
    )
    return Grid(
        title,
        f"Macro accuracy in per cent, {table.scope(metric='')}; the paper's Table 3. A cell that the paper leaves blank is blank.",
        (
            "Row",
            "Ours",
            f"{_confidence(table)} interval",
            "Seed deviation",
            "Printed",
            "Ours − printed, points",
            "Verdict",
        ),
        tuple(body),
        tuple(dict.fromkeys(notes)),
        (6,),
    )


def claims(table: CorpusTable) -> Grid | None:
    """The paper's claims as paired differences of our own runs; None where no pair of rows is here."""
    if not table.claims:
        return None
    paper = any(found.paper_points is not None for found in table.claims)
    header = (
        "Rows",
        "The paper says",
        "Difference",
        f"{_confidence(table)} interval",
        "p",
        "p adjusted",
        "Verdict",
        "Seed deviations",
    )
    body = []
    for found in table.claims:
        name = f"{found.first.title} against {found.second.title}"
        difference, span, adjusted, verdict = _paired(found)
        p, deviations = "–", "–"
        if found.found:
            p = words.p_value(found.found["p_value"])
            deviations = " and ".join(
                words.deviation(found.found[side]["seed_deviation"]) for side in "ab"
            )
        cells = (difference, span, p, adjusted, verdict, deviations)
        printed = (
            ("–" if found.paper_points is None else words.points(found.paper_points),)
            if paper
            else ()
        )
        body.append((name, found.claim.says, *cells, *printed))
    return Grid(
        "The paper's claims, asked of these runs",
        f"Differences of our own rows in points, paired by clip and location, {table.scope(metric='')}. p is adjusted by Holm's method "
        f"over all {table.compared} comparisons shown of this corpus, those with the baseline row included; the verdict is that of the "
        "adjusted p. Interval and p hold the chance of the places alone; that of the training stands beside them as seed deviations.",
        (*header, *["Paper's difference"] * paper),
        tuple(body),
        (),
        (1, 6),
    )


def controls(table: CorpusTable) -> Grid | None:
    """What is left of a row's score when something is taken from its events; None where no row is such a control."""
    found = table.controls
    if found is None:
        return None
    body = [
        (one.line.title, one.does, words.percent(one.line.summary["macro_accuracy"]), *_paired(one))
        for one in found.controls
    ]
    notes = []
    if share := events.share_of_possible_gain(found):
        notes.append(
            f"From {found.without.title} ({words.percent(found.without.summary['macro_accuracy'])}) the true events gain "
            f"{words.points(share[1])} points, {found.reference.title} {words.points(share[0])}: {100 * share[2]:.0f} % of them. "
            "The share has no interval of its own."
        )
    if found.swapped:
        swapped = found.swapped
        notes.append(
            f"Given the log-mel of one clip and the embedding of a clip of another scene, {found.reference.title} names the scene of the "
            f"log-mel in {words.percent(swapped['log_mel'])} and that of the embedding in {words.percent(swapped['embedding'])} of the "
            f"clips (log-mel minus embedding, {_confidence(table)} interval {words.points(swapped['low'])} to "
            f"{words.points(swapped['high'])} points)."
        )
    return Grid(
        "Is it the events?",
        f"{events.sentence(found)} Below: {found.reference.title} ({words.percent(found.reference.summary['macro_accuracy'])}) minus each "
        f"control in points, paired by clip and location, {table.scope(metric='')}.",
        (
            "Control",
            "What it has instead",
            "Its accuracy",
            "Difference",
            f"{_confidence(table)} interval",
            "p adjusted",
            "Verdict",
        ),
        tuple(body),
        tuple(notes),
        (1, 6),
    )


def study(table: CorpusTable) -> Grid | None:
    """What open choices moved, one at a time; None where there are no such rows."""
    found = table.study
    if found is None:
        return None
    body = [
        (one.line.title, one.field, words.plain(one.value), *_paired(one)) for one in found.moved
    ]
    notes, largest = [], found.largest
    if largest:
        size = 100 * abs(largest.found["difference"])
        smaller, count = choices.smaller_in_the_paper(size)
        told = "" if largest.verdict != "cannot tell" else ", though it cannot be told from nothing"
        listed = f": {'; '.join(smaller)}" if smaller else ""
        notes.append(
            f"The largest effect is {size:.1f} points ({largest.field}{told}). Of the paper's {count} differences (Section 3.3), "
            f"{len(smaller)} are smaller than that{listed}. Only sizes are compared here: those are of other clips."
        )
    return Grid(
        "What an open choice moves",
        f"Rows that differ from {found.reference.title} ({words.percent(found.reference.summary['macro_accuracy'])}) in one choice that "
        f"the paper does not state: each minus that row in points, paired by clip and location, {table.scope(metric='')}.",
        (
            "Row",
            "Choice",
            "Value",
            "Difference",
            f"{_confidence(table)} interval",
            "p adjusted",
            "Verdict",
        ),
        tuple(body),
        tuple(notes),
        (1, 2, 6),
    )


def beyond_accuracy(table: CorpusTable) -> Grid:
    """Log loss, Brier score, calibration; seen and unseen cities where they are known."""
    drifts = any(line.embedding_drift for line in table.rows)
    halves = any(line.summary["seen"] or line.summary["unseen"] for line in table.rows)
    body = []
    for line in table.rows:
        summary, drift = line.summary, line.embedding_drift
        cells = [f"{summary['log_loss']:.3f}", f"{summary['brier']:.3f}"]
        cells.append(words.percent(summary["calibration"]["expected_calibration_error"]))
        cells += [_half(summary["seen"]), _half(summary["unseen"])] if halves else []
        cells += ["–" if drift is None else f"{drift:.2f}"] * drifts
        body.append((line.title, *cells))
    intro = (
        "Log loss (nats) and Brier score (0 to 2) ask for the whole distribution, lower is better; the calibration error is how far "
        "the confidence is from the share of right answers, on average over clips."
    )
    if halves:
        intro += f" Seen cities are those of the training clips: macro accuracy there and elsewhere, with {_confidence(table)} intervals."
    if drifts:
        intro += (
            " Embedding drift is how far training moved the event model's embeddings of the validation part, as a share of their own "
            "length; 0 is an event model that stayed as it was."
        )
    header = (
        "Row",
        "Log loss",
        "Brier",
        "Calibration error",
        *["Seen cities", "Unseen cities"] * halves,
    )
    header += ("Embedding drift",) * drifts
    return Grid("Beyond accuracy", intro, header, tuple(body))


def folds(table: CorpusTable) -> Grid | None:
    """Rows of several folds: fold spread and seed spread apart. None where no row has several."""
    lines = [line for line in table.rows if line.spread]
    if not lines:
        return None
    names = list(dict.fromkeys(fold for line in lines for fold in line.row.folds))
    body = []
    for line in lines:
        means = [words.percent(line.fold_means.get(fold)) for fold in names]
        names_of = ("fold_deviation", "seed_deviation", "within_fold_seed_deviation")
        body.append(
            (
                line.title,
                *means,
                words.percent(line.mean_of_folds),
                *[words.deviation(line.spread[name]) for name in names_of],
            )
        )
    return Grid(
        "Folds and seeds",
        "Macro accuracy of each fold, mean over seeds. Folds differ because their places do, seeds because training does: the two "
        "deviations (points) are kept apart. Seeds are compared on the pooled folds, and within each fold.",
        (
            "Row",
            *[f"Fold {name}" for name in names],
            "Mean",
            "Over folds",
            "Over seeds, pooled",
            "Over seeds, within a fold",
        ),
        tuple(body),
    )


def open_choices(table: CorpusTable) -> Grid | None:
    """What the paper leaves open, with the value that these runs used; None where no row is one of the paper's systems."""
    found = beside.open_choices(table.rows)
    body = []
    for field, why, values in found:
        texts = [
            f"{words.plain(value)} ({', '.join(titles)})" if len(values) > 1 else words.plain(value)
            for value, titles in values
        ]
        body.append((field, "; ".join(texts), why))
    if not body:
        return None
    return Grid(
        "What the paper leaves open",
        "Choices that are ours, with the value these runs used. Any of them may be why a score differs from the paper's.",
        ("Field", "Value here", "Why it is open"),
        tuple(body),
        (),
        (1, 2),
    )


def errata(tables) -> list[str]:
    """Errors of the paper; those that quote its scores only where these may stand beside ours."""
    shown = any(table.cells for table in tables)
    return [erratum.text for erratum in published.ERRATA if shown or not erratum.of_scores]


def _paired(one) -> tuple[str, str, str, str]:
    """Difference, interval, adjusted p and verdict of what was compared, or why there is none."""
    if not one.found:
        return ("–", "–", "–", one.missing)
    found = one.found
    return (
        words.points(found["difference"]),
        words.points_span(found["interval"]),
        words.p_value(one.adjusted_p),
        one.verdict,
    )


def _ours(line) -> tuple[str, str, str]:
    if line is None:
        return ("not run", "–", "–")
    return (
        words.number(line.summary["macro_accuracy"]),
        words.span(line.summary["interval"]),
        words.deviation(line.summary["seed_deviation"]),
    )


def _apart(against: dict | None) -> tuple[str, str]:
    if against is None:
        return (BLANK, BLANK)
    return (
        f"{words.points(against['difference'])} ± {words.number(against['half_width'])}",
        against["verdict"],
    )


def _folds_beside(cell) -> list[str]:
    """Our folds beside the official ones, where both are known."""
    if not (
        cell.official.folds and cell.line and len(cell.line.fold_means) == len(cell.official.folds)
    ):
        return []
    ours = ", ".join(words.number(mean) for mean in cell.line.fold_means.values())
    theirs = ", ".join(f"{mean:.1f}" for mean in cell.official.folds)
    return [
        f"Folds {', '.join(cell.line.fold_means)} of {cell.title}: ours {ours}; official {theirs}."
    ]


def _half(found: dict | None) -> str:
    return (
        "–"
        if found is None
        else f"{words.percent(found['macro_accuracy'])} ({words.span(found['interval'])})"
    )


def _confidence(table: CorpusTable) -> str:
    return f"{100 * table.rows[0].summary['interval']['confidence']:.0f} %"

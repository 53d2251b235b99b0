"""Sections on differences: from the paper, between rows, and what controls and choices show."""

from crossask import evaluation
from crossask.evaluation.comparison import WIDEST_AGREEMENT
from crossask.evaluation.intervals import has_width
from crossask.report import figures, findings, formatting, paper, studies
from crossask.report.content import Picture, Section
from crossask.report.corpus import CorpusResults
from crossask.report.findings import Difference, PaperCell, TestedClaim
from crossask.report.formatting import NONE
from crossask.report.rows import Row
from crossask.report.studies import Controls

# Titles of the last columns of `_tested_difference`.
_TESTED_HEADER = ("p", "p adjusted", "Verdict", "Seed deviations")


def beside_paper(results: CorpusResults) -> Section | None:
    """Returns our scores and the paper's, and what their differences mean.

    Returns None for corpora that the paper does not have.
    """
    title = "Our scores and the paper's"
    if results.name not in paper.PAPER_CLIPS:
        return None
    if not results.cells:
        return Section(title, _why_no_paper_scores(results))
    lines = []
    notes = findings.contradictions(results.name, results.rows)
    for cell in results.cells:
        ours = _our_score(cell.row)
        lines.append((cell.title, *ours, _printed_score(cell), *_agreement(cell.agreement)))
        if cell.official:
            agreement = _agreement(cell.official_agreement)
            lines.append((f"{cell.title}, official", *ours, cell.official.text, *agreement))
            notes.append(f"Official: {cell.official.source}.")
            notes += _official_folds(cell)
    notes.append(
        "“agrees”: the printed score is within ± of ours. “differs”: it is outside. “cannot tell”: "
        f"± is too wide (more than {100 * WIDEST_AGREEMENT:g} points). The clips are the same, so "
        "± covers the randomness of training alone; the interval also covers other locations. The "
        "printed scores have no intervals of their own."
    )
    header = ["Row", "Ours", results.interval_title, "Seed deviation", "Printed"]
    header += ["Ours − printed, points", "Verdict"]
    return Section(
        title,
        f"Macro accuracy in per cent, {results.scope()}. “Printed” is the score in the paper's "
        "Table 3; where it is empty, the paper has no score.",
        header,
        lines,
        # The official folds of a baseline are the same for all of its rows.
        notes=list(dict.fromkeys(notes)),
    )


def claims(results: CorpusResults) -> Section | None:
    """Returns the paper's claims as paired differences of our rows; None without such rows."""
    if not (results.claims and results.refers_to_paper):
        return None
    header = ["Rows", "The paper says", "Difference", results.interval_title, *_TESTED_HEADER]
    shows_paper = any(tested.paper_difference is not None for tested in results.claims)
    if shows_paper:
        header.append("Paper's difference")
    lines = []
    for tested in results.claims:
        line = [f"{tested.first.title} against {tested.second.title}", tested.claim.says]
        line += _tested_difference(results, tested)
        if shows_paper:
            printed = tested.paper_difference
            line.append(NONE if printed is None else formatting.points(printed))
        lines.append(line)
    best = findings.verdict_on_best(results.claims, results.comparisons)
    return Section(
        "The paper's claims, tested on these runs",
        "Differences of our own rows in points, paired by clip and location "
        f"({results.scope()}). The verdict is on the first row of each line, not on the claim; it "
        "requires both the interval and the adjusted p (Holm's method over "
        f"{formatting.several(results.comparisons.count, 'comparison')} of this corpus, those with "
        "the baseline row included). Interval and p describe the choice of the locations and the "
        "randomness of training; with one seed there is no p.",
        header,
        lines,
        notes=[best] if best else [],
    )


def other_pairs(results: CorpusResults) -> Section | None:
    """Returns those differences of rows on own recordings in which the baseline has no part.

    They are those by which the claims of the paper are tested on its corpora. Returns None if there
    are none, and for the corpora of the paper.
    """
    if results.refers_to_paper:
        return None
    lines = {}
    for tested in results.claims:
        if results.baseline not in (tested.first, tested.second):
            title = f"{tested.first.title} against {tested.second.title}"
            # Two claims may be about one pair.
            lines[title] = (title, *_tested_difference(results, tested))
    if not lines:
        return None
    return Section(
        "Other pairs of rows",
        "Differences in points, paired by clip and location "
        f"({results.scope()}). The verdict is on the first row of each line and requires both the "
        "interval and the adjusted p (Holm's method over "
        f"{formatting.several(results.comparisons.count, 'comparison')} of this corpus).",
        ["Rows", "Difference", results.interval_title, *_TESTED_HEADER],
        list(lines.values()),
    )


def controls(results: CorpusResults) -> Section | None:
    """Returns the scores of a row and of its controls; None without controls."""
    found = results.controls
    if found is None:
        return None
    reference = found.reference
    lines = []
    for control in found.controls:
        difference = results.comparisons.between(reference, control.row)
        accuracy = formatting.percent(control.row.summary.macro_accuracy)
        texts = difference_texts(difference)
        lines.append((control.row.title, control.instead, accuracy, *texts))
    intro = (
        f"The difference is {reference.title} "
        f"({formatting.percent(reference.summary.macro_accuracy)}) minus the control, in points, "
        f"paired by clip and location ({results.scope()})."
    )
    conclusion = studies.conclusion(found, results.comparisons)
    if conclusion:
        intro = f"{conclusion} {intro}"
    return Section(
        "Does the gain come from the events?",
        intro,
        ["Control", "The control has", "Accuracy", *_difference_header(results)],
        lines,
        notes=_notes_on_controls(results, found),
    )


def study(results: CorpusResults, ending: str) -> Section | None:
    """Returns the effects of open choices, changed one at a time; None without such rows."""
    found = results.study
    if found is None:
        return None
    lines = []
    for change in found.changes:
        difference = results.comparisons.between(change.row, found.reference)
        texts = difference_texts(difference)
        lines.append((change.row.title, change.field, formatting.plain(change.value), *texts))
    picture = Picture(
        f"choices{ending}",
        f"effects of open choices, {results.scope()}",
        figures.Drawing(figures.choices, (results,)),
    )
    return Section(
        "The effect of open choices",
        f"Each row differs from {found.reference.title} "
        f"({formatting.percent(found.reference.summary.macro_accuracy)}) in one choice"
        f"{' that the paper does not state' if results.refers_to_paper else ''}. The difference is "
        f"the row minus {found.reference.title}, in points, paired by clip and location "
        f"({results.scope()}).",
        ["Row", "Choice", "Value", *_difference_header(results)],
        lines,
        notes=_notes_on_study(results),
        pictures=[picture],
    )


def difference_texts(difference: Difference) -> tuple[str, str, str, str]:
    """Returns difference, interval, adjusted p-value and verdict, or why there is none."""
    comparison = difference.comparison
    if comparison is None:
        return NONE, NONE, NONE, difference.missing
    return (
        formatting.points(comparison.difference),
        formatting.points_range(comparison.interval),
        formatting.p_value(difference.adjusted_p),
        difference.verdict,
    )


def _tested_difference(results: CorpusResults, tested: TestedClaim) -> list[str]:
    """Returns a difference, its interval, and the cells of `_TESTED_HEADER`."""
    difference = results.comparisons.between(tested.first, tested.second)
    points, interval, adjusted_p, verdict = difference_texts(difference)
    p_value = NONE
    deviations = NONE
    if difference.comparison:
        p_value = formatting.p_value(difference.comparison.p_value)
        first = formatting.deviation(difference.comparison.a.seed_deviation)
        second = formatting.deviation(difference.comparison.b.seed_deviation)
        deviations = f"{first} and {second}"
    return [points, interval, p_value, adjusted_p, verdict, deviations]


def _difference_header(results: CorpusResults) -> list[str]:
    """Returns titles for the columns of `difference_texts`."""
    return ["Difference", results.interval_title, "p adjusted", "Verdict"]


def _why_no_paper_scores(results: CorpusResults) -> str:
    if any(row.experiment.get("paper_score") is not None for row in results.rows):
        clips = paper.PAPER_CLIPS[results.name]
        return (
            f"The paper's scores are left out: they are for all {clips} clips of its folds of "
            f"{results.name}."
        )
    return "No row corresponds to a row of the paper, so its scores are left out."


def _our_score(row: Row | None) -> tuple[str, str, str]:
    """Returns score, interval and seed deviation."""
    if row is None:
        return "not run", NONE, NONE
    return (
        formatting.number(row.summary.macro_accuracy),
        formatting.percent_range(row.summary.interval),
        formatting.deviation(row.summary.seed_deviation),
    )


def _printed_score(cell: PaperCell) -> str:
    if cell.paper_percent is not None:
        return f"{cell.paper_percent:.1f}"
    return "" if cell.missing == "blank" else cell.missing


def _agreement(agreement: evaluation.Agreement | None) -> tuple[str, str]:
    """Returns difference and verdict."""
    if agreement is None:
        return "", ""
    difference = formatting.points(agreement.difference)
    if agreement.half_width is None or not has_width(0, agreement.half_width):
        return difference, agreement.verdict
    return f"{difference} ± {formatting.number(agreement.half_width)}", agreement.verdict


def _official_folds(cell: PaperCell) -> list[str]:
    """Returns a sentence on our folds and the official ones if both are known."""
    if cell.row is None or not cell.official.folds:
        return []
    means = cell.row.fold_means
    if len(means) != len(cell.official.folds):
        return []
    ours = ", ".join(formatting.number(mean) for mean in means.values())
    official = ", ".join(f"{score:.1f}" for score in cell.official.folds)
    return [f"Folds {', '.join(means)} of {cell.title}: ours {ours}; official {official}."]


def _notes_on_controls(results: CorpusResults, found: Controls) -> list[str]:
    """Returns sentences on the possible gain and on swapped embeddings."""
    notes = []
    title = found.reference.title
    gain = studies.gain(found)
    if gain:
        notes.append(
            f"Compared with {found.without.title} "
            f"({formatting.percent(found.without.summary.macro_accuracy)}), {title} gains "
            f"{formatting.points(gain.of_row)} points. This is {100 * gain.share:.0f} % of the "
            f"gain with the true events ({formatting.points(gain.of_true_events)} points). The "
            "share has no interval."
        )
    swapped = found.swapped
    if swapped:
        notes.append(
            "With the log-mel of one clip and the embedding of a clip of another scene, "
            f"{title} predicts the scene of the log-mel for "
            f"{formatting.percent(swapped.log_mel)} of the clips and that of the embedding for "
            f"{formatting.percent(swapped.embedding)}. The difference of the two shares has the "
            f"{results.interval_title} {formatting.points_range(swapped)} points (mean over the "
            "intervals of the runs)."
        )
    return notes


def _notes_on_study(results: CorpusResults) -> list[str]:
    """Returns a sentence on the largest effect of an open choice and the paper's differences."""
    largest = studies.largest_change(results.study, results.comparisons)
    if largest is None:
        return []
    difference = results.comparisons.between(largest.row, results.study.reference)
    size = 100 * abs(difference.comparison.difference)
    is_certain = difference.verdict in ("better", "worse")
    reservation = "" if is_certain else ", which cannot be distinguished from zero"
    effect = f"The largest effect is {size:.1f} points ({largest.field}{reservation})."
    if not results.refers_to_paper:
        return [effect]
    of_paper = findings.paper_differences()
    smaller = []
    for name, points in of_paper.items():
        if abs(points) < size:
            smaller.append(f"{name} ({abs(points):.1f})")
    listed = f": {'; '.join(smaller)}" if smaller else ""
    return [
        f"{effect} The paper discusses {len(of_paper)} differences between rows (section 3.3). "
        f"{len(smaller)} of them are smaller{listed}. They were measured on other clips, so only "
        "the sizes can be compared."
    ]

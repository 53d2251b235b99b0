"""The sections of a report, described once for all formats: tables as text, notes, pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossask import evaluation
from crossask.evaluation.comparison import WIDEST_AGREEMENT
from crossask.evaluation.scores import CityScore, SceneScore
from crossask.report import devices, figures, findings, formatting, paper, studies
from crossask.report.content import (
    Bar,
    CorpusReport,
    Picture,
    Provenance,
    Report,
    ResultLine,
    Results,
    Section,
    Slugs,
)
from crossask.report.corpus import CorpusResults
from crossask.report.findings import Difference, PaperCell, TestedClaim
from crossask.report.formatting import NONE
from crossask.report.misclassified import MisclassifiedClip, always_misclassified, folder_of
from crossask.report.rows import Row
from crossask.report.sounds import Sounds
from crossask.report.studies import LABELS, Controls

# With more rows, their pictures are folded.
MOST_OPEN_GALLERIES = 3
# Misclassified clips of a row that the page lists, and clips that a note names.
MOST_CLIPS = 100
MOST_CLIPS_IN_NOTE = 10
_TESTED_HEADER = ("p", "p adjusted", "Verdict", "Seed deviations")
HOW_TO_READ = (
    (
        "Macro accuracy",
        "Macro accuracy is the mean of the class-wise accuracies: every scene counts equally, "
        "however many clips it has. Guessing reaches one divided by the number of scenes.",
    ),
    (
        "Interval",
        "The interval shows how far the score could change with other locations and, with several "
        "seeds, with another training. Clips of one location resemble each other, so the bootstrap "
        "draws locations (within each scene) instead of clips. With one seed the interval covers "
        "the locations alone. A dash means that all draws have the same score: they show nothing "
        "about other locations.",
    ),
    (
        "Seed deviation",
        "The seed deviation is the standard deviation of the score over trainings that differ only "
        "in their random numbers. It shows the randomness of training.",
    ),
    (
        "Difference from the baseline",
        "Both rows are scored on the same clips, and in each bootstrap draw on the same locations. "
        "“Better” or “worse” requires that the interval of the difference excludes zero and that "
        "the adjusted p is below 0.05; “cannot tell” does not mean that the rows are equal. A row "
        "with one seed has no verdict.",
    ),
    (
        "p and p adjusted",
        "p is the probability that two equal rows show a difference at least as large as this one, "
        "with other locations and another training. It is not the probability that the rows are "
        "equal. The more comparisons a table contains, the more likely one of them is a chance "
        "result; the adjusted p (Holm's method) corrects for their number.",
    ),
    (
        "Validation part",
        "The validation part is a part of the training fold. The epoch was chosen on it, and rows "
        "may be chosen on it; nothing was chosen on the evaluation fold. A row with a dash was "
        "trained on the whole training fold, and its last epoch was kept.",
    ),
    (
        "Corpora",
        "Scores of different corpora or folds differ by tens of points and cannot be compared, so "
        "a table contains one corpus only.",
    ),
)


def report(
    corpora: Sequence[CorpusResults],
    versions: dict[str, list[str]],
    machines: Sequence[Mapping[str, Any]] = (),
    provenance: Provenance | None = None,
    sounds: Sounds | None = None,
) -> Report:
    """Returns the content of the report on some corpora.

    Args:
      corpora: The results of each corpus.
      versions: Package -> its versions in the runs; "commit" is that of the source.
      machines: Machines on which the runs were trained.
      provenance: How and when the report is written; None leaves it out.
      sounds: Sound files of the clips; None shows no players.
    """
    slugs = Slugs()
    reports = []
    for results in corpora:
        # With one corpus, the names of the files need not contain it.
        ending = f"_{slugs.of(results.title)}" if len(corpora) > 1 else ""
        notes = list(results.notes)
        for run in results.unfinished:
            notes.append(
                f"Unfinished and not included: {run.row}, fold {run.fold}, seed {run.seed}."
            )
        reports.append(
            CorpusReport(
                title=results.title,
                file_ending=ending,
                conclusion=results.conclusion,
                results=results_table(results),
                notes=notes,
                sections=_sections(results, ending, slugs, sounds),
                has_devices=devices.are_known(results),
            )
        )
    return Report(
        facts=_facts(versions, machines, provenance),
        corpora=reports,
        errata=_errata(corpora),
        how_to_read=HOW_TO_READ,
        versions=versions,
    )


def _facts(
    versions: Mapping[str, Sequence[str]],
    machines: Sequence[Mapping[str, Any]],
    provenance: Provenance | None,
) -> list[tuple[str, str]]:
    """Returns how and when the report was written, and how and where the runs were trained."""
    facts = []
    if provenance is not None:
        facts.append(("Written", f"{provenance.written}, by {provenance.version}"))
        facts.append(("Command", provenance.command))
    trained = []
    for name in ("crossask", "commit"):
        if name in versions:
            trained.append(f"{name} {formatting.listed(list(versions[name]), 'and')}")
    if trained:
        facts.append(("Trained with", ", ".join(trained)))
    if machines:
        facts.append(("Trained on", "; ".join(_machine(machine) for machine in machines)))
    return facts


def _machine(machine: Mapping[str, Any]) -> str:
    """Returns "2 cores, AMD EPYC, 23.5 GiB"."""
    parts = []
    if isinstance(machine.get("cores"), int):
        parts.append(formatting.several(machine["cores"], "core"))
    if machine.get("cpu"):
        parts.append(str(machine["cpu"]))
    if machine.get("memory_gib"):
        parts.append(f"{machine['memory_gib']} GiB")
    return ", ".join(parts)


def _errata(corpora: Sequence[CorpusResults]) -> list[str]:
    """Returns the errors of the paper; those that quote scores only beside scores of its clips."""
    if not any(results.refers_to_paper for results in corpora):
        return []
    shows_scores = any(results.cells for results in corpora)
    return [erratum.text for erratum in paper.ERRATA if shows_scores or not erratum.quotes_scores]


def results_table(results: CorpusResults) -> Results:
    """Returns the table of results: scores, intervals, and differences from the baseline."""
    first = results.rows[0].summary
    return Results(
        lines=[_result_line(results, row) for row in results.rows],
        scope=results.scope(),
        confidence=formatting.confidence(first.interval),
        drawn=first.interval.over,
        chance=formatting.percent(1 / len(first.scenes)),
        baseline=results.baseline.title if results.baseline else None,
        comparisons=results.comparisons.count,
    )


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
    header = ["Row", "Ours", _interval_title(results), "Seed deviation", "Printed"]
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
    header = ["Rows", "The paper says", "Difference", _interval_title(results), *_TESTED_HEADER]
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
        ["Rows", "Difference", _interval_title(results), *_TESTED_HEADER],
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
        texts = _difference_texts(difference)
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
        texts = _difference_texts(difference)
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


def by_scene(results: CorpusResults, ending: str) -> Section:
    """Returns the accuracy of each scene in each row."""
    lines = []
    shares = []
    for scene in results.rows[0].summary.scenes:
        scores = [row.summary.per_class.get(scene) for row in results.rows]
        accuracies = [score.accuracy if score else None for score in scores]
        lines.append((formatting.scene(scene), *_clips_and_percent(scores, accuracies)))
        shares.append(accuracies)
    picture = Picture(
        f"scenes{ending}",
        f"accuracy by scene, {results.scope()}",
        figures.Drawing(figures.scenes, (results,)),
    )
    return Section(
        "Accuracy by scene",
        f"Share of the scene's clips that are predicted correctly, mean over seeds "
        f"({results.scope()}).",
        ["Scene", "Clips", *_titles(results)],
        lines,
        shares,
        pictures=[picture],
        style="matrix",
    )


def scene_events(results: CorpusResults, ending: str) -> Section | None:
    """Returns the events that stand out in each scene; None without event scores."""
    found = results.scene_events
    if found is None:
        return None
    lines = []
    for event in found.found:
        lines.append(
            (
                formatting.scene(event.scene),
                event.event,
                formatting.number(event.mean),
                formatting.number(event.elsewhere),
                formatting.points(event.difference),
                formatting.effect(event.effect),
                formatting.effect_range(event),
            )
        )
    notes = [
        "The events of a scene are those with the largest effects among all events of the event "
        "model. The intervals are not adjusted for this choice, so the effects are rather too "
        "large.",
        "The effect is Cohen’s h, 2 arcsin √here − 2 arcsin √elsewhere. It compares rare events "
        "with frequent ones: from 1 to 4 % it is 0.20, from 50 to 53 % it is 0.06.",
    ]
    if found.over == "clip":
        notes.append(
            "No locations are given: the intervals resample clips, which makes them too narrow "
            "where clips share a location."
        )
    if found.single:
        names = ", ".join(formatting.scene(scene) for scene in found.single)
        notes.append(f"Scenes with a single {found.over}: {names}. The intervals are too narrow.")
    scope = results.scope(found.row)
    pictures = [
        Picture(
            f"events{ending}",
            f"events that stand out in the scenes, {scope}",
            figures.Drawing(figures.events, (results,)),
        ),
        Picture(
            f"events_by_scene{ending}",
            f"matrix of the scenes and the events that stand out in them, {scope}",
            figures.Drawing(figures.events_by_scene, (results,)),
        ),
    ]
    return Section(
        "Which events stand out in which scenes",
        f"Scores of the event model of {found.row.title} in per cent ({scope}). “Here” is the mean "
        "score in the clips of the scene, “elsewhere” the mean over the other scenes. The effect "
        f"has an interval over {found.over}s. The scene model reads the embeddings, and not these "
        "scores.",
        ["Scene", "Event", "Here", "Elsewhere", "Difference", "Effect", _interval_title(results)],
        lines,
        notes=notes,
        pictures=pictures,
    )


def by_city(results: CorpusResults) -> Section | None:
    """Returns the macro accuracy of each city in each row; None if the cities are unknown."""
    cities = set()
    for row in results.rows:
        cities |= set(row.summary.cities)
    if not cities:
        return None
    lines = []
    shares = []
    for city in sorted(cities):
        scores = [row.summary.cities.get(city) for row in results.rows]
        accuracies = [score.macro_accuracy if score else None for score in scores]
        lines.append((city, *_clips_and_percent(scores, accuracies)))
        shares.append(accuracies)
    return Section(
        "Accuracy by city",
        "Macro accuracy over the scenes that were recorded in the city, mean over seeds "
        f"({results.scope()}).",
        ["City", "Clips", *_titles(results)],
        lines,
        shares,
        style="matrix",
    )


def beyond_accuracy(results: CorpusResults, ending: str) -> Section:
    """Returns log loss, Brier score, calibration, and scores of seen and unseen cities."""
    shows_cities = any(row.summary.seen or row.summary.unseen for row in results.rows)
    shows_drift = any(row.embedding_drift for row in results.rows)
    header = ["Row", "Log loss", "Brier", "Calibration error"]
    intro = (
        "Log loss (nats) and Brier score (0 to 2) evaluate all probabilities of a clip; lower is "
        "better. The expected calibration error is the mean difference between confidence and "
        "accuracy over bins of confidence, weighted by clips."
    )
    if shows_cities:
        header += ["Seen cities", "Unseen cities"]
        intro += (
            " Seen and unseen cities: macro accuracy on clips of cities with and without training "
            f"clips, with {_interval_title(results)}s."
        )
    if shows_drift:
        header.append("Embedding drift")
        intro += (
            " Embedding drift is the distance by which training moved the event model's embeddings "
            "of the validation part (of training clips for a row without one), relative to their "
            "length; it is 0 if the event model did not change."
        )
    lines = []
    for row in results.rows:
        summary = row.summary
        error = formatting.percent(summary.calibration.expected_calibration_error)
        line = [row.title, f"{summary.log_loss:.3f}", f"{summary.brier:.3f}", error]
        if shows_cities:
            line.append(formatting.part_score(summary.seen))
            line.append(formatting.part_score(summary.unseen))
        if shows_drift:
            drift = row.embedding_drift
            line.append(NONE if drift is None else f"{drift:.2f}")
        lines.append(line)
    picture = Picture(
        f"reliability{ending}",
        f"reliability diagram, {results.scope()}",
        figures.Drawing(figures.reliability, (results,)),
    )
    return Section("Beyond accuracy", intro, header, lines, pictures=[picture])


def folds(results: CorpusResults) -> Section | None:
    """Returns the spread over folds and over seeds; None if no row has several folds."""
    rows = [row for row in results.rows if row.spread]
    if not rows:
        return None
    names = []
    for row in rows:
        names += [fold for fold in row.folds if fold not in names]
    lines = []
    for row in rows:
        line = [row.title]
        line += [formatting.percent(row.fold_means.get(name)) for name in names]
        line.append(formatting.percent(row.mean_of_folds))
        line.append(formatting.deviation(row.spread.fold_deviation))
        line.append(formatting.deviation(row.spread.seed_deviation))
        line.append(formatting.deviation(row.spread.within_fold_seed_deviation))
        lines.append(line)
    header = ["Row", *[f"Fold {name}" for name in names], "Mean", "Deviation over folds"]
    header += ["Seed deviation, pooled folds", "Seed deviation within a fold"]
    return Section(
        "Folds and seeds",
        "Macro accuracy of each fold, mean over seeds, and standard deviations in points: over "
        "folds, which have different locations; over seeds for all folds together; and over seeds "
        "within a fold.",
        header,
        lines,
    )


def galleries(results: CorpusResults, slugs: Slugs) -> list[Section]:
    """Returns a heading, and the confusion matrix and the learning curves of each row."""
    sections = [Section("Which scenes are confused, and the learning curves", style="gallery")]
    fold = "open" if len(results.rows) <= MOST_OPEN_GALLERIES else "closed"
    for row in results.rows:
        slug = slugs.of(row.key)
        scope = results.scope(row)
        training_scope = results.training_scope(row)
        confusion = Picture(
            f"confusion_{slug}",
            f"{row.title}: confusion matrix, {scope}",
            figures.Drawing(figures.confusion, (row, scope)),
        )
        curves = Picture(
            f"curves_{slug}",
            f"{row.title}: learning curves, {training_scope}",
            figures.Drawing(figures.curves, (row, training_scope)),
        )
        section = Section(
            row.title, pictures=[confusion, curves], style="gallery", fold=fold, is_part=True
        )
        sections.append(section)
    return sections


def misclassified(results: CorpusResults, ending: str, sounds: Sounds | None) -> list[Section]:
    """Returns a heading, and a list of the misclassified clips of each row."""
    notes = []
    folder = folder_of(results.rows[0])
    if folder:
        notes.append(f"The names of the clips start at {folder}.")
    always = always_misclassified(results.misclassified)
    if always and len(results.rows) > 1:
        listed = ", ".join(clip.removeprefix(folder) for clip in always[:MOST_CLIPS_IN_NOTE])
        more = len(always) - MOST_CLIPS_IN_NOTE
        if more > 0:
            listed += f" and {more} more"
        notes.append(
            f"All seeds of all rows misclassify {formatting.several(len(always), 'clip')}, which "
            f"may have a wrong label: {listed}."
        )
    heading = Section(
        "Misclassified clips",
        "Clips that at least one seed misclassifies: first those that most seeds misclassify, and "
        "among these the more probable mistakes. Probabilities are means over seeds. The lists "
        f"have at most {MOST_CLIPS} clips of a row; misclassified{ending}.csv has all. The page "
        "has players if the sound files are on the same computer.",
        notes=notes,
    )
    parts = []
    for row, clips in zip(results.rows, results.misclassified, strict=True):
        parts.append(_misclassified_of_row(row, clips, folder, sounds))
    return [heading, *parts]


def fields(results: CorpusResults) -> list[Section]:
    """Returns the fields in which the rows differ, and those that all rows share."""
    differing, shared = differing_fields(results.rows)
    sections = []
    if differing:
        lines = []
        for path, values in differing.items():
            lines.append((path, *[formatting.plain(value) for value in values]))
        title = "Choices in which the rows differ"
        header = ["Field", *_titles(results)]
        sections.append(Section(title, header=header, lines=lines, style="fields"))
    title = f"{len(shared)} choices that all rows share"
    if len(results.rows) == 1:
        title = f"The {len(shared)} choices of this row"
    lines = [(path, formatting.plain(value)) for path, value in shared.items()]
    section = Section(
        title,
        header=["Field", "Value"],
        lines=lines,
        style="fields",
        fold="closed",
        is_part=bool(differing),
    )
    sections.append(section)
    return sections


def open_choices(results: CorpusResults) -> Section | None:
    """Returns what the paper leaves open; None if no row is one of the paper's systems.

    A report on own recordings has no such section.
    """
    if not results.refers_to_paper:
        return None
    lines = []
    for choice in findings.open_choices(results.rows):
        values = []
        for value, titles in choice.values:
            text = formatting.plain(value)
            if len(choice.values) > 1:
                text += f" ({', '.join(titles)})"
            values.append(text)
        lines.append((choice.path, "; ".join(values), choice.because))
    if not lines:
        return None
    return Section(
        "What the paper leaves open",
        "Choices that the paper does not settle, with the values that these runs used. Each of "
        "them may be the reason why a score differs from the paper's.",
        ["Field", "Value here", "Why it is open"],
        lines,
        fold="closed",
    )


def differing_fields(rows: Sequence[Row]) -> tuple[dict[str, list], dict[str, object]]:
    """Returns the fields in which rows differ, with a value for each row, and the shared fields."""
    fields_of_rows = [row.fields for row in rows]
    paths = set()
    for values in fields_of_rows:
        paths |= set(values)
    differing = {}
    shared = {}
    for path in sorted(paths - LABELS):
        values = [fields.get(path) for fields in fields_of_rows]
        if any(value != values[0] for value in values):
            differing[path] = values
        else:
            shared[path] = values[0]
    return differing, shared


def _sections(
    results: CorpusResults, ending: str, slugs: Slugs, sounds: Sounds | None
) -> list[Section]:
    """Returns the sections after the table of results, in the order of the report."""
    sections = [
        beside_paper(results),
        claims(results),
        other_pairs(results),
        controls(results),
        study(results, ending),
        by_scene(results, ending),
        scene_events(results, ending),
        by_city(results),
        devices.section(results),
        beyond_accuracy(results, ending),
        folds(results),
        *galleries(results, slugs),
        *misclassified(results, ending, sounds),
        *fields(results),
        open_choices(results),
    ]
    return [section for section in sections if section is not None]


def _result_line(results: CorpusResults, row: Row) -> ResultLine:
    summary = row.summary
    difference = results.against_baseline(row)
    points, interval, adjusted_p, verdict = _difference_texts(difference)
    difference_bar = None
    if difference.comparison:
        difference_bar = _bar(difference.comparison.difference, difference.comparison.interval)
    return ResultLine(
        title=row.title,
        name=row.unique_name,
        seeds=len(row.seeds),
        runs=f"{formatting.several(len(row.seeds), 'seed')}, {row.folds_text}",
        validation=formatting.percent(row.validation),
        accuracy=formatting.percent(summary.macro_accuracy),
        interval=formatting.percent_range(summary.interval),
        mean_of_folds=formatting.percent(row.mean_of_folds),
        seed_deviation=formatting.deviation(summary.seed_deviation),
        difference=points,
        difference_interval=interval,
        adjusted_p=adjusted_p,
        verdict=verdict,
        paper=formatting.printed(results.paper_percent(row)),
        parameters=formatting.count(row.parameters),
        trainable_parameters=formatting.count(row.trainable_parameters),
        bar=_bar(summary.macro_accuracy, summary.interval),
        difference_bar=difference_bar,
        scope=results.scope(row, formatting.METRIC),
        is_baseline=row is results.baseline,
    )


def _bar(value: float, interval: evaluation.Interval) -> Bar:
    return Bar(interval.low, value, interval.high)


def _difference_texts(difference: Difference) -> tuple[str, str, str, str]:
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
    if agreement.half_width is None or not formatting.has_width(0, agreement.half_width):
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
            f"{_interval_title(results)} {formatting.points_range(swapped)} points (mean over the "
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


def _tested_difference(results: CorpusResults, tested: TestedClaim) -> list[str]:
    """Returns a difference, its interval, and the cells of `_TESTED_HEADER`."""
    difference = results.comparisons.between(tested.first, tested.second)
    points, interval, adjusted_p, verdict = _difference_texts(difference)
    p_value = NONE
    deviations = NONE
    if difference.comparison:
        p_value = formatting.p_value(difference.comparison.p_value)
        first = formatting.deviation(difference.comparison.a.seed_deviation)
        second = formatting.deviation(difference.comparison.b.seed_deviation)
        deviations = f"{first} and {second}"
    return [points, interval, p_value, adjusted_p, verdict, deviations]


def _misclassified_of_row(
    row: Row, clips: Sequence[MisclassifiedClip], folder: str, sounds: Sounds | None
) -> Section:
    shown = clips[:MOST_CLIPS]
    addresses = []
    if sounds is not None:
        addresses = sounds.addresses(row, [clip.clip for clip in shown])
    shows_locations = any(clip.location for clip in shown)
    header = ["Clip", "True scene", "Predicted as", "Wrong in", "True scene, %", "Predicted, %"]
    if shows_locations:
        header.append("Location")
    lines = []
    for clip in shown:
        name = clip.clip.removeprefix(folder)
        line = [name, formatting.scene(clip.truth), formatting.scene(clip.predicted)]
        line.append(f"{clip.wrong_seeds} of {formatting.several(clip.seeds, 'seed')}")
        line.append(formatting.number(clip.probability_of_truth))
        line.append(formatting.number(clip.probability_of_predicted))
        if shows_locations:
            line.append(clip.location)
        lines.append(line)
    return Section(
        f"{row.title}: {len(clips)} of {formatting.several(row.summary.clips, 'clip')}",
        header=header,
        lines=lines,
        sounds=addresses if any(addresses) else (),
        style="clips",
        fold="closed",
        is_part=True,
    )


def _interval_title(results: CorpusResults) -> str:
    """Returns "95 % interval"."""
    return f"{formatting.confidence(results.rows[0].summary.interval)} interval"


def _titles(results: CorpusResults) -> list[str]:
    return [row.title for row in results.rows]


def _difference_header(results: CorpusResults) -> list[str]:
    """Returns titles for the columns of `_difference_texts`."""
    return ["Difference", _interval_title(results), "p adjusted", "Verdict"]


def _clips_and_percent(
    scores: Iterable[SceneScore | CityScore | None], accuracies: Iterable[float | None]
) -> list[str]:
    """Returns the number of clips, several if the rows differ in it, and the accuracies."""
    clips = sorted({score.clips for score in scores if score})
    percent = [formatting.percent(accuracy) for accuracy in accuracies]
    return [", ".join(str(number) for number in clips), *percent]

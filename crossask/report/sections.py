"""The content of a report, described once for all formats: the table of results and the sections.

The sections are in difference_sections.py, score_sections.py, clip_sections.py, field_sections.py
and devices.py, in tables as text, notes and pictures. This module decides on their order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crossask import evaluation
from crossask.report import (
    clip_sections,
    devices,
    difference_sections,
    field_sections,
    formatting,
    paper,
    score_sections,
)
from crossask.report.content import (
    Bar,
    CorpusReport,
    Provenance,
    Report,
    ResultLine,
    Results,
    Section,
    Slugs,
)
from crossask.report.corpus import CorpusResults
from crossask.report.rows import Row
from crossask.report.sounds import Sounds

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


def _sections(
    results: CorpusResults, ending: str, slugs: Slugs, sounds: Sounds | None
) -> list[Section]:
    """Returns the sections after the table of results, in the order of the report."""
    sections = [
        difference_sections.beside_paper(results),
        difference_sections.claims(results),
        difference_sections.other_pairs(results),
        difference_sections.controls(results),
        difference_sections.study(results, ending),
        score_sections.by_scene(results, ending),
        score_sections.scene_events(results, ending),
        score_sections.by_city(results),
        devices.section(results),
        score_sections.beyond_accuracy(results, ending),
        score_sections.folds(results),
        *score_sections.galleries(results, slugs),
        *clip_sections.misclassified(results, ending, sounds),
        *field_sections.fields(results),
        field_sections.open_choices(results),
    ]
    return [section for section in sections if section is not None]


def _result_line(results: CorpusResults, row: Row) -> ResultLine:
    summary = row.summary
    difference = results.against_baseline(row)
    points, interval, adjusted_p, verdict = difference_sections.difference_texts(difference)
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

"""Sections on the scores of the rows: by scene, event, city and fold, calibration, and pictures."""

from crossask.report import figures, formatting
from crossask.report.accuracy_matrix import accuracy_matrix
from crossask.report.content import Picture, Section, Slugs
from crossask.report.corpus import CorpusResults
from crossask.report.formatting import NONE

# With more rows, their pictures are folded.
MOST_OPEN_GALLERIES = 3


def by_scene(results: CorpusResults, ending: str) -> Section:
    """Returns the accuracy of each scene in each row."""
    groups = []
    for scene in results.rows[0].summary.scenes:
        scores = [row.summary.per_class.get(scene) for row in results.rows]
        groups.append((formatting.scene(scene), scores))
    lines, shares = accuracy_matrix(groups)
    picture = Picture(
        f"scenes{ending}",
        f"accuracy by scene, {results.scope()}",
        figures.Drawing(figures.scenes, (results,)),
    )
    return Section(
        "Accuracy by scene",
        f"Share of the scene's clips that are predicted correctly, mean over seeds "
        f"({results.scope()}).",
        ["Scene", "Clips", *results.titles],
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
        ["Scene", "Event", "Here", "Elsewhere", "Difference", "Effect", results.interval_title],
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
    groups = []
    for city in sorted(cities):
        groups.append((city, [row.summary.cities.get(city) for row in results.rows]))
    lines, shares = accuracy_matrix(groups)
    return Section(
        "Accuracy by city",
        "Macro accuracy over the scenes that were recorded in the city, mean over seeds "
        f"({results.scope()}).",
        ["City", "Clips", *results.titles],
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
            f"clips, with {results.interval_title}s."
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

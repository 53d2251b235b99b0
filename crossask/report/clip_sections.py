"""Sections that list the misclassified clips of each row."""

from collections.abc import Sequence

from crossask.errors import shortened_list
from crossask.report import formatting
from crossask.report.content import Section
from crossask.report.corpus import CorpusResults
from crossask.report.misclassified import MisclassifiedClip, always_misclassified, folder_of
from crossask.report.rows import Row
from crossask.report.sounds import Sounds

# Misclassified clips of a row that the page lists, and clips that a note names.
MOST_CLIPS = 100
MOST_CLIPS_IN_NOTE = 10


def misclassified(results: CorpusResults, ending: str, sounds: Sounds | None) -> list[Section]:
    """Returns a heading, and a list of the misclassified clips of each row."""
    notes = []
    folder = folder_of(results.rows[0])
    if folder:
        notes.append(f"The names of the clips start at {folder}.")
    always = always_misclassified(results.misclassified)
    if always and len(results.rows) > 1:
        names = [clip.removeprefix(folder) for clip in always]
        listed = shortened_list(names, MOST_CLIPS_IN_NOTE)
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

"""Checks that every corpus passes when it is created, whichever reader made it.

A message names the place where a clip was read (`Clip.origin`), such as the line of a table.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from crossask import text_tables
from crossask.errors import DataError
from crossask.evaluation.predictions import CLIP_COLUMNS

if TYPE_CHECKING:
    from crossask.datasets.clips import Clip, Corpus, Fold


def check(corpus: "Corpus") -> None:
    """Raises DataError if the parts of a corpus contradict each other; see `Corpus`."""
    if not corpus.clips:
        raise DataError(f"Corpus {corpus.name!r} contains no clips.", "Check --data_dir.")
    _check_names_of_scenes(corpus)
    _check_spelling(corpus)
    _check_clips(corpus)
    _check_files(corpus)
    clip_of = {clip.id: clip for clip in corpus.clips}
    for fold in corpus.folds:
        _check_fold(corpus.name, fold, clip_of)


def _check_names_of_scenes(corpus: "Corpus") -> None:
    for scene in corpus.scenes:
        if not scene.strip():
            raise DataError(f"Corpus {corpus.name!r} has a scene without a name.", "Name it.")
        # A table of predictions has a column for each scene beside these columns.
        if scene in CLIP_COLUMNS:
            raise DataError(
                f"Corpus {corpus.name!r} has a scene called {scene!r}.",
                "Rename it: tables of predictions already have the columns "
                f"{', '.join(CLIP_COLUMNS)}.",
            )
        if corpus.scenes.count(scene) > 1:
            raise DataError(
                f"Corpus {corpus.name!r} lists the scene {scene!r} twice.", "List it once."
            )


def _check_spelling(corpus: "Corpus") -> None:
    """Raises DataError for names of one kind that differ only in blanks or case."""
    clips_with: dict[str, dict[str, str]] = {}
    for kind in ("scene", "location", "city", "device"):
        # The first clip with each name.
        first_clip: dict[str, str] = {}
        for clip in corpus.clips:
            name = getattr(clip, kind)
            if name not in first_clip:
                first_clip[name] = named(clip)
        clips_with[kind] = first_clip
    for scene in corpus.scenes:
        clips_with["scene"].setdefault(scene, "")
    for clip in corpus.clips:
        # A location that was made from the name of a file has that name's spelling.
        if text_tables.is_made_from_file(clip.location, clip.id):
            clips_with["location"].pop(clip.location, None)
    for kind, first_clip in clips_with.items():
        _check_spelling_of(corpus.name, kind, first_clip)


def _check_spelling_of(corpus_name: str, kind: str, clip_with: Mapping[str, str]) -> None:
    """Raises DataError for the first two names that are spelt differently.

    Args:
      corpus_name: Name of the corpus.
      kind: What the names are.
      clip_with: Name -> a clip that has it; "" if no clip has it.
    """
    first_of: dict[str, str] = {}
    for name, clip in clip_with.items():
        # Published corpora write both "bus_stop" and "bus stop". Locations are compared as they
        # are, because 1_11 and 11_1 may be two of them.
        compared = name.replace("_", " ").replace("-", " ") if kind == "scene" else name
        first = first_of.setdefault(text_tables.spelling_key(compared), name)
        if first != name:
            raise DataError(
                f"Corpus {corpus_name!r} has the {kind} {first!r}{_of(clip_with[first])} and the "
                f"{kind} {name!r}{_of(clip)}, which {text_tables.difference_of(first, name)}.",
                "Write it in one way.",
            )


def _of(clip: str) -> str:
    return f" of {clip}" if clip else ""


def _check_clips(corpus: "Corpus") -> None:
    """Raises DataError for an id that is blank or not unique, or an unknown scene."""
    known: dict[str, Clip] = {}
    for clip in corpus.clips:
        if not clip.id.strip():
            raise DataError(
                f"Corpus {corpus.name!r} has a clip without a name{_of(clip.origin)}.", "Name it."
            )
        first = known.setdefault(clip.id, clip)
        if first is clip:
            continue
        if first.scene != clip.scene:
            raise DataError(
                f"Clip {clip.id!r} has the scene {first.scene!r}{_in(first)} and the scene "
                f"{clip.scene!r}{_in(clip)}.",
                "Remove the wrong one.",
            )
        raise DataError(
            f"Corpus {corpus.name!r} lists clip {clip.id!r} twice{_in_both(first, clip)}.",
            "Remove one of the two lines from its metadata.",
        )
    for clip in corpus.clips:
        if clip.scene not in corpus.scenes:
            raise DataError(
                f"Clip {named(clip)} has the unknown scene {clip.scene!r}.",
                f"Known scenes: {', '.join(corpus.scenes)}.",
            )


def _check_files(corpus: "Corpus") -> None:
    """Raises DataError for two clips that are one file: through a link, or two spellings of a path.

    Files that do not exist are not compared; see `need_audio` of `read_corpus`.
    """
    if corpus.ready_made:
        # One file contains the embeddings of all clips.
        return
    clip_at: dict[tuple[int, int], Clip] = {}
    for clip in corpus.clips:
        if clip.start_seconds is not None:
            # It was cut from a recording, as others were.
            continue
        try:
            status = os.stat(clip.path)
        except (OSError, ValueError):
            continue
        # Some file systems have no numbers of files.
        if not status.st_ino:
            continue
        first = clip_at.setdefault((status.st_dev, status.st_ino), clip)
        if first is not clip:
            raise DataError(
                f"Clips {named(first)} and {named(clip)} are the same file, {clip.path}.",
                "Remove one of them, also if it is a link.",
            )


def _check_fold(corpus_name: str, fold: "Fold", clip_of: Mapping[str, "Clip"]) -> None:
    """Raises DataError for an empty side, an unknown clip, or a clip or location on both sides."""
    _check_side(corpus_name, fold.name, "train", fold.train, clip_of)
    _check_side(corpus_name, fold.name, "evaluation", fold.evaluation, clip_of)
    if fold.validation and not set(fold.validation) < set(fold.train):
        raise DataError(
            f"The validation part of fold {fold.name!r} contains all of its training clips, or "
            "clips that are not among them.",
            "Check the fold files.",
        )
    # Locations may be unknown, and then only the clips themselves show an overlap.
    both_sides = set(fold.train) & set(fold.evaluation)
    if both_sides:
        raise DataError(
            f"Clip {named(clip_of[min(both_sides)])} is on both sides of fold {fold.name!r} "
            f"({len(both_sides)} such clips).",
            "Remove it from one side: scores on training clips mean nothing.",
        )
    shared = _at_shared_locations(fold.train, fold.evaluation, clip_of)
    if shared:
        trained, evaluated = shared[0]
        raise DataError(
            f"Location {trained.location!r} is on both sides of fold {fold.name!r} "
            f"({len(shared)} such locations): {named(trained)} is trained on, "
            f"{named(evaluated)} evaluated.",
            "Move all clips of a location to one side: scores on locations of the training clips "
            "mean nothing.",
        )
    validation = set(fold.validation)
    rest = [clip_id for clip_id in fold.train if clip_id not in validation]
    shared = _at_shared_locations(rest, fold.validation, clip_of)
    if shared:
        trained, validated = shared[0]
        raise DataError(
            f"Location {trained.location!r} is in the validation part of fold {fold.name!r} and in "
            f"the rest of its training clips ({len(shared)} such locations): "
            f"{named(validated)} and {named(trained)}.",
            "Move all clips of a location to one of them: the validation part chooses the epoch.",
        )


def _at_shared_locations(
    side: Iterable[str], other_side: Iterable[str], clip_of: Mapping[str, "Clip"]
) -> list[tuple["Clip", "Clip"]]:
    """Returns the first clip of either side at each location of both, sorted by location."""
    first_at = _first_at_each_location(side, clip_of)
    other_first_at = _first_at_each_location(other_side, clip_of)
    shared = sorted(first_at.keys() & other_first_at.keys())
    return [(first_at[location], other_first_at[location]) for location in shared]


def _first_at_each_location(
    clip_ids: Iterable[str], clip_of: Mapping[str, "Clip"]
) -> dict[str, "Clip"]:
    """Returns the first of some clips at each location that is known."""
    first_at: dict[str, Clip] = {}
    for clip_id in clip_ids:
        clip = clip_of[clip_id]
        if clip.location:
            first_at.setdefault(clip.location, clip)
    return first_at


def _check_side(
    corpus_name: str,
    fold_name: str,
    side: str,
    clip_ids: Sequence[str],
    clip_of: Mapping[str, "Clip"],
) -> None:
    if not clip_ids:
        raise DataError(
            f"Fold {fold_name!r} of {corpus_name!r} has no {side} clips.", "Check the fold files."
        )
    if len(set(clip_ids)) < len(clip_ids):
        repeated = next(clip_id for clip_id in clip_ids if clip_ids.count(clip_id) > 1)
        raise DataError(
            f"Fold {fold_name!r} of {corpus_name!r} lists the {side} clip {repeated!r} twice.",
            "Remove one of the two lines: the clip would count twice.",
        )
    for clip_id in clip_ids:
        if clip_id not in clip_of:
            raise DataError(
                f"Fold {fold_name!r} of {corpus_name!r} lists {clip_id!r}, which is not in the "
                "metadata.",
                "Use metadata and folds of one release.",
            )


def named(clip: "Clip") -> str:
    """Returns the id of a clip, and where it was read if that is known, for a message."""
    if not clip.origin:
        return repr(clip.id)
    return f"{clip.id!r} ({clip.origin})"


def _in(clip: "Clip") -> str:
    return f" in {clip.origin}" if clip.origin else ""


def _in_both(first: "Clip", second: "Clip") -> str:
    if not first.origin or not second.origin:
        return ""
    return f", in {first.origin} and in {second.origin}"

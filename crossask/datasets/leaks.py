"""Finds recordings that are on both sides of a fold under different names.

Clips and locations on both sides are found by `checks`. Here the content decides: equal bytes,
samples or embeddings; or names that say that one recording was cut from another, or is a variant of
it.
"""

import collections
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from crossask.audio import notices, reading
from crossask.datasets.checks import named
from crossask.errors import DataError

if TYPE_CHECKING:
    from crossask.datasets.clips import Clip, Corpus

# "walk_part2", "walk-seg03", "walk@30.0s": parts that were cut from a recording.
PART = re.compile(
    r"(?P<source>.+?)(@\d+(\.\d+)?s|[-_ .](part|seg|segment|chunk|slice|excerpt|split)[-_ ]?\d+)",
    re.IGNORECASE,
)
# "walk_aug1", "walk-pitch+2": variants that were computed from a recording.
VARIANT = re.compile(
    r"(?P<source>.+?)[-_ .](aug(mented|mentation)?|noisy|pitch(ed|[-_]?shift(ed)?)?|"
    r"(time[-_]?)?stretch(ed)?|shift(ed)?|flip(ped)?|specaug|mixup|reverb|resampled|normali[sz]ed)"
    r"([-_ ]?[-+]?\d+(\.\d+)?)?",
    re.IGNORECASE,
)
# "b020_90_100": a part from 90 s to 100 s. Dates such as "2023-03-05" have this form, too.
SPAN = re.compile(r"(?P<source>.+)[-_](?P<start>\d+)[-_](?P<end>\d+)")
SHORTEST_SPAN_SECONDS = 2


def sources(names: Iterable[str]) -> dict[str, str]:
    """Returns the recording that each name says it was made from; other names are left out.

    Args:
      names: Names of sound files, which may be below folders.

    Returns:
      Name -> name of the source without a suffix. Two files that differ in their suffix alone have
      one source. A variant such as "walk_pitch2" counts only if there is "walk" or another variant
      of it, and a span such as "walk_10_20" only if another one begins where it ends, or ends where
      it begins, and no name of the same source ends before it begins, as dates do.
    """
    stem_of = {name: _stem(name) for name in names if name}
    name_of = {stem: name for name, stem in stem_of.items()}
    source_of = _named_sources(stem_of, name_of)
    # Files that differ in their suffix alone are one recording in several formats.
    names_with = collections.Counter(stem_of.values())
    for name, stem in stem_of.items():
        if names_with[stem] > 1:
            source_of.setdefault(name, stem)
    # A source that is among the names belongs to itself.
    for source in set(source_of.values()):
        if source in name_of:
            source_of.setdefault(name_of[source], source)
    first_sources = {}
    for name in source_of:
        first_sources[name] = _first_source(name, source_of, name_of)
    return first_sources


def _named_sources(stem_of: Mapping[str, str], name_of: Mapping[str, str]) -> dict[str, str]:
    """Returns name -> source for the names of parts, variants and spans; see `sources`.

    Args:
      stem_of: Name -> name without a suffix.
      name_of: Name without a suffix -> name.
    """
    found: dict[str, str] = {}
    variants: dict[str, list[str]] = collections.defaultdict(list)
    spans: dict[tuple[str, int], list[str]] = collections.defaultdict(list)
    # What comes before two numbers that are no start and end: the year of a date, for example.
    without_spans: set[str] = set()
    for name, stem in stem_of.items():
        part = PART.fullmatch(stem)
        variant = VARIANT.fullmatch(stem)
        span = SPAN.fullmatch(stem)
        if part:
            found[name] = part["source"]
        elif variant:
            variants[variant["source"]].append(name)
        elif span:
            seconds = int(span["end"]) - int(span["start"])
            if seconds >= SHORTEST_SPAN_SECONDS:
                spans[span["source"], seconds].append(name)
            elif seconds < 0:
                without_spans.add(span["source"])
    for source, members in variants.items():
        if source in name_of or len(members) > 1:
            found.update(dict.fromkeys(members, source))
    for (source, _), members in spans.items():
        starts = {SPAN.fullmatch(stem_of[name])["start"] for name in members}
        ends = {SPAN.fullmatch(stem_of[name])["end"] for name in members}
        if starts & ends and source not in without_spans:
            found.update(dict.fromkeys(members, source))
    return found


def _first_source(name: str, source_of: Mapping[str, str], name_of: Mapping[str, str]) -> str:
    """Returns the first recording in the chain of sources of a name.

    In "walk_aug1_part2", the chain is "walk_aug1", then "walk".

    Args:
      name: A name that has a source.
      source_of: Name -> source.
      name_of: Name without a suffix -> name.
    """
    source = source_of[name]
    while source in name_of:
        earlier = source_of.get(name_of[source], source)
        if earlier == source:
            break
        # A source is shorter than what was made from it, so this ends.
        source = earlier
    return source


def _stem(name: str) -> str:
    """Returns the name of a sound file without its suffix; other names remain."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in reading.SUFFIXES:
        return name
    return path.with_suffix("").as_posix()


def check_sources(corpus: "Corpus") -> None:
    """Raises DataError for parts or variants of one recording on both sides of a fold."""
    keys = sources(clip.recording or clip.id for clip in corpus.clips)
    key_of = {}
    for clip in corpus.clips:
        source = keys.get(clip.recording or clip.id)
        if source is not None:
            key_of[clip.id] = source
    _check_sides(
        corpus,
        key_of,
        "are parts or variants of one recording by their names",
        "Give them one location, so that they stay together, or rename them.",
    )


def check_content(corpus: "Corpus", hash_of: Mapping[str, str]) -> None:
    """Checks that no two recordings have the same bytes, as far as that matters.

    A recording that is there twice with one scene, on one side of each fold, is only counted twice;
    a line in the log says so.

    Args:
      corpus: The corpus.
      hash_of: Path of a file -> hash of its bytes.

    Raises:
      DataError: Two recordings with the same bytes have two scenes, or are on both sides of a fold.
    """
    if corpus.ready_made:
        # One file contains the embeddings of all clips.
        return
    key_of = {clip.id: hash_of[clip.path] for clip in corpus.clips}
    clips = list({clip.path: clip for clip in corpus.clips}.values())
    repeated = _repeated(clips, key_of, "contain the same bytes")
    if not repeated:
        return
    _check_sides(
        corpus, _of_repeated(repeated, key_of), "contain the same bytes", "Remove one of them."
    )
    _log_repeated(corpus, repeated, "the same bytes")


def check_samples(corpus: "Corpus", hash_of: Mapping[str, str]) -> None:
    """Checks that no two clips have the same samples, as `check_content` does for bytes.

    Args:
      corpus: The corpus.
      hash_of: Id of a clip -> hash of its samples. Some clips may have none.

    Raises:
      DataError: Two clips with the same samples have two scenes, or are on both sides of a fold.
    """
    clips = [clip for clip in corpus.clips if clip.id in hash_of]
    repeated = []
    for first, clip in _repeated(clips, hash_of, "have the same samples"):
        # Files with the same bytes are in the log already; a part may repeat within a recording.
        if corpus.contents[first.path].sha256 != corpus.contents[clip.path].sha256:
            repeated.append((first, clip))
    if not repeated:
        return
    _check_sides(
        corpus,
        _of_repeated(repeated, hash_of),
        "have the same samples",
        "Remove one of them: it is one recording in two files.",
    )
    _log_repeated(corpus, repeated, "the same samples in other bytes")


def _repeated(
    clips: Sequence["Clip"], key_of: Mapping[str, str], problem: str
) -> list[tuple["Clip", "Clip"]]:
    """Returns (first clip with a key, another clip with it) for each clip that is not the first.

    Args:
      clips: The clips.
      key_of: Id of a clip -> what it should not share with others.
      problem: What clips with one key have in common: the predicate of "a and b".

    Raises:
      DataError: Two clips with one key have two scenes.
    """
    first_with: dict[str, Clip] = {}
    repeated = []
    for clip in clips:
        first = first_with.setdefault(key_of[clip.id], clip)
        if first is clip:
            continue
        repeated.append((first, clip))
        if first.scene != clip.scene:
            raise DataError(
                f"{first.path} with the scene {first.scene!r} and {clip.path} with the scene "
                f"{clip.scene!r} {problem}.",
                "Remove the one with the wrong scene.",
            )
    return repeated


def _of_repeated(
    repeated: Sequence[tuple["Clip", "Clip"]], key_of: Mapping[str, str]
) -> dict[str, str]:
    """Returns the entries of `key_of` for repeated clips and the clips that they repeat."""
    keys = {key_of[first.id] for first, _ in repeated}
    return {clip_id: key for clip_id, key in key_of.items() if key in keys}


def _log_repeated(corpus: "Corpus", repeated: Sequence[tuple["Clip", "Clip"]], what: str) -> None:
    """Logs once how many clips repeat others on one side."""
    first, clip = repeated[0]
    notices.log_once(
        f"{what} in {corpus.name}",
        logging.WARNING,
        "%d recordings contain %s as another one, so they count twice: the first is %s (as %s).",
        len(repeated),
        what,
        clip.path,
        first.path,
    )


def check_embeddings(corpus: "Corpus", hash_of: Mapping[str, str]) -> None:
    """Raises DataError for clips with equal embeddings on both sides of a fold.

    Args:
      corpus: The corpus.
      hash_of: Id of a clip -> hash of its embeddings.
    """
    _check_sides(
        corpus,
        hash_of,
        "have the same embeddings",
        "Remove one of them: it is one recording, or the embeddings were mixed up.",
    )


def _check_sides(corpus: "Corpus", key_of: Mapping[str, str], problem: str, fix: str) -> None:
    """Raises DataError for two clips with one key on both sides, or on one side of the validation.

    Args:
      corpus: The corpus.
      key_of: Id of a clip -> what it must not share with the other side; some clips may have none.
      problem: What such clips have in common: the predicate of "Clips 'a' and 'b'".
      fix: What to do.
    """
    clip_of = {clip.id: clip for clip in corpus.clips}
    for fold in corpus.folds:
        validation = set(fold.validation)
        training = [clip_id for clip_id in fold.train if clip_id not in validation]
        sides = (
            ("evaluated", [*training, *fold.validation], fold.evaluation),
            ("used for validation", training, fold.validation),
        )
        for use, trained, other in sides:
            shared = _shared(key_of, trained, other)
            if shared:
                first, second = (clip_of[clip_id] for clip_id in shared[0])
                raise DataError(
                    f"Clips {named(first)} and {named(second)} {problem}, but in fold "
                    f"{fold.name!r} the first is trained on and the second {use} ({len(shared)} "
                    "such clips).",
                    fix,
                )


def _shared(
    key_of: Mapping[str, str], trained: Sequence[str], other: Sequence[str]
) -> list[tuple[str, str]]:
    """Returns (clip trained on, clip of the other side) for each pair with one key."""
    trained_with: dict[str, str] = {}
    for clip_id in trained:
        if clip_id in key_of:
            trained_with.setdefault(key_of[clip_id], clip_id)
    pairs = []
    for clip_id in other:
        if clip_id in key_of and key_of[clip_id] in trained_with:
            pairs.append((trained_with[key_of[clip_id]], clip_id))
    return pairs

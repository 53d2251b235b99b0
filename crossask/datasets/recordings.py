"""Recordings of any length as clips of one length (`features.clip_hop_seconds`)."""

import dataclasses
import logging
import re
from collections.abc import Iterable

from crossask.audio import notices, reading
from crossask.config import FeatureConfig
from crossask.datasets.clips import Clip, Corpus

# The rest of a recording after its last whole clip is a clip, too, if it is at least this share of
# a clip.
LEAST_SHARE = 0.5
# The id of a clip that was cut from a recording.
PART = re.compile(r"(?P<recording>.+)@(?P<start>\d+\.\d+)s")


def cut_into_clips(corpus: Corpus, features: FeatureConfig) -> Corpus:
    """Returns a corpus whose recordings are cut into clips.

    Clips of `features.clip_seconds` start every `features.clip_hop_seconds`. If at least half of a
    clip is left after the last one, it is a clip, too, which is filled when it is read. The rest is
    dropped. A recording that is shorter than a clip is one clip. Lengths are those in the headers
    of the files; a file without a length in its header is decoded once.

    All clips of a recording have its location and are on the same side of each fold. Their ids are
    that of the recording and the start: "sound.wav@30.0s".

    Args:
      corpus: The corpus, in which each clip is a whole recording.
      features: clip_seconds and clip_hop_seconds are used.
    """
    clips_of: dict[str, list[Clip]] = {}
    for recording in corpus.clips:
        seconds = reading.seconds_of(recording.path, decodes=True)
        starts = clip_starts(seconds, features.clip_seconds, features.clip_hop_seconds)
        clips_of[recording.id] = [_part(recording, start) for start in starts]
    folds = []
    for fold in corpus.folds:
        cut_fold = dataclasses.replace(
            fold,
            train=_ids(fold.train, clips_of),
            evaluation=_ids(fold.evaluation, clips_of),
            validation=_ids(fold.validation, clips_of),
        )
        folds.append(cut_fold)
    clips = []
    for recording in corpus.clips:
        clips += clips_of[recording.id]
    notices.log_once(
        f"cut into clips of {features.clip_seconds:g} s every {features.clip_hop_seconds:g} s",
        logging.INFO,
        "%s: %d recordings are cut into %d clips of %g s, one every %g s.",
        corpus.name,
        len(corpus.clips),
        len(clips),
        features.clip_seconds,
        features.clip_hop_seconds,
    )
    return dataclasses.replace(corpus, clips=tuple(clips), folds=tuple(folds))


def clip_starts(seconds: float, clip_seconds: float, hop_seconds: float) -> list[float]:
    """Returns the starts of the clips of a recording in seconds.

    Args:
      seconds: Length of the recording; 0 if it cannot be read, which is reported when its clip is.
      clip_seconds: Length of a clip.
      hop_seconds: Time from the start of a clip to the start of the next.
    """
    starts = [0.0]
    while True:
        # Products instead of sums, so that no rounding errors add up.
        start = len(starts) * hop_seconds
        previous_end = starts[-1] + clip_seconds
        is_covered = previous_end >= seconds
        is_too_short = seconds - start < LEAST_SHARE * clip_seconds
        if is_covered or is_too_short:
            return starts
        starts.append(start)


def recording_count(clips: Iterable[Clip]) -> int:
    """Returns the number of recordings from which clips were cut."""
    return len({clip.recording for clip in clips})


def recording_and_start(clip_id: str) -> tuple[str, float] | None:
    """Returns the recording of a clip that was cut from it, and where the clip starts in seconds.

    Args:
      clip_id: Name of the clip, as `cut_into_clips` makes it; None is returned for another name.
    """
    part = PART.fullmatch(clip_id)
    if part is None:
        return None
    return part["recording"], float(part["start"])


def _part(recording: Clip, start: float) -> Clip:
    # At least one decimal, and as many as the start needs.
    digits = f"{start:.3f}".rstrip("0")
    if digits.endswith("."):
        digits += "0"
    return dataclasses.replace(
        recording,
        id=f"{recording.id}@{digits}s",
        recording=recording.id,
        start_seconds=start,
    )


def _ids(recordings: Iterable[str], clips_of: dict[str, list[Clip]]) -> tuple[str, ...]:
    ids = []
    for recording in recordings:
        ids += [clip.id for clip in clips_of[recording]]
    return tuple(ids)

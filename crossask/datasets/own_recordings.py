"""Chooses the settings of a first training on recordings of one's own, from what is there."""

import collections
import csv
import dataclasses
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import files, text_tables
from crossask.audio import reading
from crossask.datasets import folder
from crossask.datasets.clips import Clip, Corpus
from crossask.errors import DataError

# As in the paper's corpora.
LONGEST_CLIP_SECONDS = 10.0
SHORTEST_CLIP_SECONDS = 1.0
# Rates that features are computed at; of other recordings, the next lower one is used.
RATES_HZ = (16000, 22050, 32000, 44100, 48000)
# With fewer clips, none are held out for validation.
FEWEST_CLIPS_TO_VALIDATE = 400
# "1-172649-A.wav" and "1-172649-B.wav" are takes of one source; so are "a-A-40" and "a-B-40".
TAKE = re.compile(r"^(?P<source>.*[^-_ ])[-_ ][A-Z](?P<rest>-\d+)?$")


@dataclasses.dataclass(frozen=True)
class OwnRecordings:
    """Recordings, and the settings that fit them.

    Attributes:
      corpus: The recordings; takes of one source have one location.
      fold_of: Clip id -> its value in the column `fold` of a CSV; {} without this column.
      grouped: Number of recordings that were grouped with others by their names.
      seconds: Length of each recording [recordings].
      sample_rate_hz: Rate at which features are computed.
      is_mono: Whether most recordings have one channel.
      clip_seconds: Length of a clip.
    """

    corpus: Corpus
    fold_of: Mapping[str, str]
    grouped: int
    seconds: np.ndarray
    sample_rate_hz: int
    is_mono: bool
    clip_seconds: float

    @property
    def clips(self) -> int:
        """Approximate number of clips into which the recordings are cut."""
        return int(np.maximum(1, np.round(self.seconds / self.clip_seconds)).sum())

    @property
    def has_validation(self) -> bool:
        """Whether there are enough clips and locations to hold some out for validation."""
        locations_of = collections.Counter(scene for scene, _ in _locations(self.corpus.clips))
        has_locations = min(locations_of.values()) > folder.MOST_FOLDS
        return self.clips >= FEWEST_CLIPS_TO_VALIDATE and has_locations

    def in_words(self) -> str:
        """Returns what was found and chosen, for the log."""
        places = len(_locations(self.corpus.clips))
        channels = "mono" if self.is_mono else "stereo"
        lines = [
            f"{len(self.corpus.clips)} recordings of {len(self.corpus.scenes)} scenes from "
            f"{places} locations, {self.seconds.sum() / 60:.1f} min in all.",
            f"Clips of {self.clip_seconds:g} s (about {self.clips}), {self.sample_rate_hz} Hz, "
            f"{channels}, {len(self.corpus.folds)} folds.",
        ]
        if self.grouped:
            lines.append(
                f"{self.grouped} recordings are takes of the same source by their names "
                "(...-A, ...-B); takes of one source stay on one side of a split."
            )
        if not self.has_validation:
            lines.append(
                "There are too few recordings for a validation part: every row trains a fixed "
                "number of epochs."
            )
        return "\n".join(lines)


def examine(data_dir: str | Path) -> OwnRecordings:
    """Returns the recordings of a folder or a CSV (see `folder.read`) with fitting settings.

    Raises:
      DataError: As `folder.read`, or there is only one scene.
      AudioError: A recording cannot be read.
    """
    if not Path(data_dir).exists():
        raise DataError(
            f"There is no folder or CSV {str(data_dir)!r}.",
            "Give a folder with a sub-folder of recordings for each scene, or a CSV.",
        )
    found_clips, fold_of = folder.read_clips(data_dir)
    found = folder.corpus_of(found_clips, fold_of)
    if len(found.scenes) < 2:
        raise DataError(
            f"{data_dir} has one scene only, {found.scenes[0]!r}.",
            "Add recordings of at least one other scene, in a folder of its own.",
        )
    clips, grouped = _with_locations_of_takes(found.clips)
    facts = [reading.facts_of(clip.path) for clip in found.clips]
    lengths = []
    for clip, fact in zip(found.clips, facts, strict=True):
        seconds = fact.seconds
        # Browsers, and programs that write to a pipe, write no length into the header; that of a
        # mere sequence of frames, such as AAC, is an estimate.
        if not fact.has_exact_seconds:
            seconds = reading.seconds_of(clip.path, decodes=True) or seconds
        lengths.append(seconds)
    mono = [fact for fact in facts if fact.channels == 1]
    clip_seconds = min(LONGEST_CLIP_SECONDS, float(np.median(lengths)))
    return OwnRecordings(
        corpus=folder.corpus_of(clips, fold_of) if grouped else found,
        fold_of=fold_of,
        grouped=grouped,
        seconds=np.array(lengths),
        sample_rate_hz=_common_rate([fact.sample_rate_hz for fact in facts]),
        is_mono=len(mono) > len(facts) / 2,
        clip_seconds=max(SHORTEST_CLIP_SECONDS, round(clip_seconds, 1)),
    )


def write_table(own: OwnRecordings, path: Path) -> None:
    """Writes the recordings as a CSV in UTF-8, see `table_text`."""
    with files.writing(path) as temporary:
        temporary.write_text(table_text(own), encoding="utf-8", newline="")


def table_text(own: OwnRecordings) -> str:
    """Returns the recordings as a CSV: absolute file names, scenes, locations and folds.

    Cities and devices are in it, too, if there are any. Folds are those that a CSV gave.
    """
    columns = ["scene", "location"]
    for column in ("city", "device"):
        if any(getattr(clip, column) for clip in own.corpus.clips):
            columns.append(column)
    fold_columns = ["fold"] if own.fold_of else []
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["filename", *columns, *fold_columns])
    for clip in own.corpus.clips:
        cells = [Path(clip.path).absolute()]
        cells += [getattr(clip, column) for column in columns]
        if own.fold_of:
            cells.append(own.fold_of[clip.id])
        writer.writerow(cells)
    return text.getvalue()


def is_written_table(path: Path) -> bool:
    """Returns whether a table looks like one of `write_table`, whose file names are absolute."""
    try:
        table = text_tables.read_csv(path)
    except DataError:
        return False
    if table.columns[:3] != ("filename", "scene", "location"):
        return False
    return all(Path(name).is_absolute() for name in table.column("filename"))


def experiment_text(own: OwnRecordings, table: Path) -> str:
    """Returns the text of an experiment file with rows that fit the recordings.

    Args:
      own: The recordings.
      table: The CSV that `write_table` wrote.
    """
    validation = (
        "# A part of each training fold chooses the epoch that is kept.\n"
        'VALIDATION = {"validation_share": 0.2, "keep": "best"}'
    )
    if not own.has_validation:
        validation = (
            "# With few recordings, all are trained on, and the last epoch is kept.\n"
            'VALIDATION = {"validation_share": 0.0, "keep": "last"}'
        )
    # Escaped as in JSON, because the path is written into a string of Python.
    escaped_path = json.dumps(str(table), ensure_ascii=False)[1:-1]
    return TEMPLATE.format(
        table=escaped_path,
        folds=tuple(fold.name for fold in own.corpus.folds),
        sample_rate_hz=own.sample_rate_hz,
        clip_seconds=own.clip_seconds,
        is_mono=own.is_mono,
        validation=validation,
        batch_size=min(16, max(4, own.clips // 10)),
    )


def _common_rate(rates_hz: Sequence[int]) -> int:
    """Returns the rate of `RATES_HZ` at or below the most frequent one, or else the lowest."""
    ((most_frequent, _),) = collections.Counter(rates_hz).most_common(1)
    not_above = [rate for rate in RATES_HZ if rate <= most_frequent]
    return max(not_above, default=RATES_HZ[0])


def _with_locations_of_takes(clips: Sequence[Clip]) -> tuple[list[Clip], int]:
    """Returns clips in which takes of one source share a location, and the number of such takes.

    Locations that the user gave stay as they are.
    """
    takes: dict[tuple[str, str], list[Clip]] = collections.defaultdict(list)
    for clip in clips:
        path = Path(clip.id)
        found = TAKE.match(path.stem)
        is_given = clip.location not in (clip.id, path.with_suffix("").as_posix())
        if found and not is_given:
            source = path.with_name(found["source"] + (found["rest"] or "")).as_posix()
            takes[clip.scene, source].append(clip)
    location_of = {}
    for (_, source), members in takes.items():
        if len(members) > 1:
            for clip in members:
                location_of[clip.id] = source
    changed = []
    for clip in clips:
        location = location_of.get(clip.id, clip.location)
        changed.append(dataclasses.replace(clip, location=location))
    return changed, len(location_of)


def _locations(clips: Sequence[Clip]) -> set[tuple[str, str]]:
    return {(clip.scene, clip.location) for clip in clips}


TEMPLATE = '''"""Rows for the recordings in {table}.

`crossask train` wrote this file once, and does not change it again: edit it and run the same
command. `crossask fields` lists all fields.
"""

from crossask.config import (
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    ModelConfig,
    TrainingConfig,
)

FEATURES = FeatureConfig(
    sample_rate_hz={sample_rate_hz},
    # Longer recordings are cut into clips of this length, shorter ones are repeated.
    clip_seconds={clip_seconds:g},
    clip_hop_seconds={clip_seconds:g},
    mono={is_mono},
    log_mel=LogMelConfig(hop_seconds=0.040),
)
# A quarter of the paper's channels.
NETWORK = ModelConfig(
    encoder_channels=(16, 32, 64, 128), pooling_dim=256, attention_heads=4, attention_dim=512
)
YAMNET = EventModelConfig(name="yamnet", weights="https://tfhub.dev/google/yamnet/1")
{validation}
COMMON = {{"dataset": "folder", "folds": {folds}, "features": FEATURES}}
TRAINING = {{"batch_size": {batch_size}, "class_weights": "balanced", **VALIDATION}}
SHORT = TrainingConfig(
    epochs=8, learning_rate=3e-4, schedule="cosine", warmup_epochs=1, **TRAINING
)
LONG = TrainingConfig(epochs=30, learning_rate=1e-3, **TRAINING)

ROWS = (
    # The log-mel alone.
    Experiment("fa", system="FA", model=NETWORK, training=SHORT, **COMMON),
    # The mean and deviation of YAMNet's embeddings, and one layer: the row for few recordings.
    Experiment(
        "linear",
        system="LINEAR",
        strategy="feature_based",
        event_model=YAMNET,
        model=ModelConfig(standardise_embedding=True, linear_penalty=3.0),
        training=LONG,
        **COMMON,
    ),
    # Both: the embeddings attend to the log-mel.
    Experiment(
        "cmam",
        system="CMAM",
        strategy="feature_based",
        event_model=YAMNET,
        model=NETWORK,
        training=SHORT,
        **COMMON,
    ),
)
'''

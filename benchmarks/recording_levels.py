"""Prints the events that an event model predicts in recordings at several levels.

  python benchmarks/recording_levels.py SOUNDS --weights=YAMNET

For each sound file of a folder, the script prints its level and the three events with the largest
mean score, as recorded and at each level of `event_model.level`. A second table shows the effect of
the level on the front-ends of YAMNet and VGGish: the share of the mel bins (frame by band) that are
below the offset inside log(mel + offset), where the logarithm is flat, and the standard deviation
of the log-mel. `--json` writes all figures to a file.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import events, files
from crossask.audio import clip_features, frontends, reading
from crossask.config import EventModelConfig, FeatureConfig
from crossask.events.tagger import read_tagger

LEVELS = (None, -40.0, -26.0, -20.0)
TOP_EVENTS = 3
LOG_MELS = {"yamnet": frontends.YAMNET_LOG_MEL, "vggish": frontends.VGGISH_LOG_MEL}


def level_dbfs(waveform: np.ndarray) -> float:
    """Returns the level of the mean of the channels, as `frontends.normalise_level` defines it."""
    return float(20 * np.log10(np.std(waveform.mean(axis=1))))


class Events:
    """YAMNet with its head."""

    def __init__(self, weights: str):
        """Loads `weights`, see `EventModelConfig.weights`."""
        self.config = EventModelConfig(name="yamnet", weights=weights)
        self.event_model = events.build(self.config)
        self.tagger = read_tagger(self.config)

    def top(self, waveform: np.ndarray, rate: int, level: float | None) -> list[tuple[str, float]]:
        """Returns the names and mean scores of the events with the largest mean scores.

        Args:
          waveform: Waveform [samples, channels].
          rate: Its sample rate in Hz.
          level: See `EventModelConfig.level`.
        """
        patches = patches_at(waveform, rate, dataclasses.replace(self.config, level=level))
        scores = self.tagger(self.event_model(patches))  # [1, patches, events]
        mean = tf.reduce_mean(scores, axis=[0, 1]).numpy()
        order = np.argsort(-mean)[:TOP_EVENTS]
        return [(self.tagger.names[index], round(float(mean[index]), 3)) for index in order]


def patches_at(waveform: np.ndarray, rate: int, config: EventModelConfig) -> tf.Tensor:
    """Returns the patches [1, patches, 96, 64] of a whole recording [samples, channels]."""
    features = FeatureConfig(clip_seconds=len(waveform) / rate)
    return clip_features.event_patches(waveform[np.newaxis], rate, features, config)


def log_mel_figures(waveform: np.ndarray, rate: int, level: float | None) -> dict[str, Any]:
    """Returns for each front-end the share of bins below its offset, and the deviation.

    Arguments are those of `Events.top`.
    """
    figures = {}
    for name, log_mel in LOG_MELS.items():
        config = EventModelConfig(name=name, level=level)
        patches = patches_at(waveform, rate, config).numpy()
        mel = np.exp(patches) - log_mel.log_offset
        figures[name] = {
            "below_offset": float(np.mean(mel < log_mel.log_offset)),
            "deviation": float(patches.std()),
        }
    return figures


@dataclasses.dataclass(frozen=True)
class Recording:
    """The figures of one sound file.

    Attributes:
      name: Name of the file.
      level: Level in dBFS.
      events: Level in words -> names and scores of the top events.
      log_mel: Level in words -> figures of each front-end.
    """

    name: str
    level: float
    events: dict[str, list[tuple[str, float]]]
    log_mel: dict[str, Any]


def measure(path: Path, yamnet: Events, levels: Sequence[float | None]) -> Recording:
    """Returns the figures of one sound file at several levels."""
    waveform, rate = reading.read_audio(path)
    found = {}
    figures = {}
    for level in levels:
        words = "as recorded" if level is None else f"{level:g} dBFS"
        found[words] = yamnet.top(waveform, rate, level)
        figures[words] = log_mel_figures(waveform, rate, level)
    return Recording(path.stem, level_dbfs(waveform), found, figures)


def as_markdown(recordings: Sequence[Recording]) -> str:
    """Returns both tables."""
    words = list(recordings[0].events)
    lines = [f"| recording | dBFS | {' | '.join(words)} |", "| --- " * (2 + len(words)) + "|"]
    for recording in recordings:
        cells = []
        for names in recording.events.values():
            cells.append(", ".join(f"{name} {score:.2f}" for name, score in names))
        lines.append(f"| {recording.name} | {recording.level:.1f} | {' | '.join(cells)} |")
    lines += ["", "| front-end | level | bins below the offset | deviation of the log-mel |"]
    lines.append("| --- | --- | --- | --- |")
    for front_end in LOG_MELS:
        for level in words:
            figures = [recording.log_mel[level][front_end] for recording in recordings]
            below = np.mean([figure["below_offset"] for figure in figures])
            deviation = np.mean([figure["deviation"] for figure in figures])
            lines.append(f"| {front_end} | {level} | {100 * below:.0f} % | {deviation:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Parses the command line, measures every recording and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the sound files")
    parser.add_argument("--weights", required=True, help="YAMNet: TF-Hub handle, folder or .npz")
    parser.add_argument("--json", type=Path, help="file of the figures")
    arguments = parser.parse_args()
    yamnet = Events(arguments.weights)
    recordings = []
    for path in sorted(arguments.folder.iterdir()):
        if reading.is_sound_file(path):
            recordings.append(measure(path, yamnet, LEVELS))
    print(as_markdown(recordings))
    if arguments.json:
        content = {"recordings": [dataclasses.asdict(recording) for recording in recordings]}
        files.write_json(arguments.json, content)


if __name__ == "__main__":
    main()

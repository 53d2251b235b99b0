"""Writes what `crossask predict` predicts, and skips recordings that are in the output already."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from crossask import files
from crossask.cli import command, progress
from crossask.errors import AudioError, CrossaskError
from crossask.serving import prediction_files, prediction_lines
from crossask.serving.cards import model_digest
from crossask.serving.origins import NameTakenError, Origin, Origins, origin_of

if TYPE_CHECKING:
    from crossask.serving import Classifier, Prediction
    from crossask.serving.sources import RecordingFile


class PredictionWriter:
    """Predicts for recordings and writes the results to standard output, a file or a folder.

    Attributes:
      failed: Number of recordings that could not be used.
    """

    def __init__(self, values: flags.FlagValues, classifier: "Classifier"):
        self.values = values
        self.classifier = classifier
        self.has_timelines = has_timelines(values)
        self.failed = 0
        # Whether the output may have lines of more than one recording.
        self.has_several = False
        # Base name -> path of the recording, for the formats that contain base names.
        self.path_of: dict[str, str] = {}
        # Path of a recording -> the recording as it was before it was read.
        self.origin_of: dict[str, Origin] = {}
        # Sample rates that were checked: there is one warning for each low rate.
        self.warned_rates: set[int] = set()
        # The output table; None for timelines, and for standard output.
        self.file: prediction_files.PredictionFile | None = None
        # The recordings of which the output has predictions; None for standard output.
        self.origins: Origins | None = None
        if not values.out:
            sys.stdout.write(self._header())
            return
        model = model_digest(classifier.card)
        if classifier.hop_seconds is not None:
            model += f" with a hop of {classifier.hop_seconds:g} s"
        self.origins = Origins(values.out, self.has_timelines, model)
        if not self.has_timelines:
            self.file = prediction_files.PredictionFile(
                values.out, values.format, classifier.scenes
            )

    def predict(self, recordings: Sequence["RecordingFile"], shows_progress: bool) -> None:
        """Predicts for the recordings that are not in the output yet, and writes the results."""
        left = self._not_written(recordings)
        bar = _SecondsBar(left) if shows_progress and left else None
        outcomes = self.classifier.predict_each(left, progress=bar.update if bar else None)
        for recording, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, AudioError):
                self.failed += 1
                command.complain(outcome.problem, outcome.fix)
            else:
                self._log_warnings(outcome)
                self._write(recording, outcome)
            if bar:
                bar.finish(recording)

    def predict_found(self, recordings: Sequence["RecordingFile"]) -> None:
        """Predicts for recordings that were found in a watched folder, and writes the results.

        One whose name in the output is that of another, such as a.flac beside a.wav, is an error of
        its own: the others, and those that will be found later, are predicted all the same.
        """
        try:
            self.predict(recordings, shows_progress=False)
            return
        except NameTakenError as error:
            if len(recordings) == 1:
                self.failed += 1
                command.complain(error.problem, error.fix)
                return
        # By halves, most of the others are still predicted together.
        middle = len(recordings) // 2
        self.predict_found(recordings[:middle])
        self.predict_found(recordings[middle:])

    def _not_written(self, recordings: Sequence["RecordingFile"]) -> list["RecordingFile"]:
        """Returns the recordings that are not in the output yet, and logs how many are.

        Raises:
          NameTakenError: The output would not distinguish two recordings.
        """
        self._check_names(recordings)
        self.has_several = len(recordings) > 1 or self.values.watch
        embeddings = self.classifier.embeddings
        for recording in recordings:
            digest = None if embeddings is None else embeddings.digest_of(recording)
            self.origin_of[recording.path] = origin_of(recording.path, self.values.format, digest)
        left = [recording for recording in recordings if not self._is_written(recording)]
        if self.values.out and self.has_timelines:
            self._check_paths(left)
        elif self.values.format == "audacity" and len(left) > 1:
            raise CrossaskError(
                f"The labels of {len(left)} recordings would be one track.",
                "Add --out=FOLDER to write a file for each recording.",
            )
        if len(left) < len(recordings):
            command.LOG.info(
                "%d of %d recordings are in the output already.",
                len(recordings) - len(left),
                len(recordings),
            )
        return left

    def _log_warnings(self, prediction: "Prediction") -> None:
        """Logs what makes a prediction doubtful; a low sample rate once for each rate."""
        if prediction.sample_rate_hz not in self.warned_rates:
            self.warned_rates.add(prediction.sample_rate_hz)
            warn_of_low_rate(prediction.source, prediction.sample_rate_hz, self.classifier)
        for warning in prediction.warnings:
            command.LOG.warning("%s %s.", prediction.source, warning)

    def _header(self) -> str:
        return prediction_lines.header_line(
            self.values.format, self.classifier.scenes, self.has_timelines
        )

    def _write(self, recording: "RecordingFile", prediction: "Prediction") -> None:
        """Writes one prediction to the output."""
        if self.origins is None:
            self._write_lines(recording, prediction)
            return
        name = self._key(recording)
        origin = self.origin_of[recording.path]
        if self.has_timelines and not self.origins.has(name):
            self._check_is_new(recording)
        self.origins.begin(name, origin)
        self._write_lines(recording, prediction)
        self.origins.add(name, origin)

    def _write_lines(self, recording: "RecordingFile", prediction: "Prediction") -> None:
        """Writes the lines of a recording to the table, to its own file, or to standard output."""
        if self.file is not None:
            self.file.append(prediction, self.values.top, self._names_in_output(recording))
            return
        if self.has_timelines:
            lines = prediction_lines.timeline_lines(prediction, self.values.format, self.values.top)
        else:
            lines = prediction_lines.prediction_line(
                prediction, self.values.format, self.values.top
            )
        if self.values.out:
            self._write_timeline(self._timeline_path(recording), self._header() + lines)
        else:
            if self.has_timelines and self.values.format == "text" and self.has_several:
                # Lines of text have no names.
                lines = f"{prediction_lines.in_one_line(str(recording))}:\n{lines}"
            sys.stdout.write(lines)
            sys.stdout.flush()

    def _check_is_new(self, recording: "RecordingFile") -> None:
        """Raises NameTakenError if there is a file at the path of a recording's timeline.

        It is not known to be that of this one: it is that of another, or a text of the user.
        """
        path = self._timeline_path(recording)
        if os.path.lexists(path):
            raise NameTakenError(
                f"{path} was written for another recording, or by another program. On some disks, "
                "names that differ in upper and lower case alone are those of one file.",
                f"Set another --out for {recording}, or rename it.",
            )

    def _check_is_timeline(self, recording: "RecordingFile") -> None:
        """Raises NameTakenError if the file at the path of a timeline is none of this model.

        Notes or labels of the user, or the timelines of another program, would count as
        predictions.
        """
        path = self._timeline_path(recording)
        try:
            content = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            content = ""
        if not prediction_lines.is_timeline(content, self.values.format, self.classifier.scenes):
            raise NameTakenError(
                f"{path} is no timeline in the format {self.values.format} with the scenes of this "
                "model.",
                "Set --out to another folder.",
            )

    def _write_timeline(self, path: str, content: str) -> None:
        """Writes the file of one recording; raises CrossaskError if that is not possible."""
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with files.writing(path) as temporary:
                temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            raise CrossaskError(
                f"{path} cannot be written ({error.strerror}).",
                "Set --out to a folder that can be written.",
            ) from error

    def _is_written(self, recording: "RecordingFile") -> bool:
        """Returns whether the output has a prediction for the recording as it is now.

        Raises:
          NameTakenError: It has one under the name of this recording that is, or may be, that of
            another.
        """
        if self.origins is None:
            return False
        if recording.is_changed:
            self.origins.check_owner(self._key(recording), self.origin_of[recording.path])
            return False
        names = self._names_in_output(recording)
        if not names:
            return False
        if recording.is_piped:
            raise NameTakenError(
                f"{self.values.out} has a prediction of {recording} already, which may have been "
                "another sound.",
                "Set --out to another file, or write the sound to a file with a name of its own.",
            )
        if self.has_timelines and not self.origins.has(names[0]):
            self._check_is_timeline(recording)
        if self.origins.is_same(names[0], self.origin_of[recording.path]):
            return True
        parts = "" if self.classifier.embeddings is None else ", or its embeddings,"
        command.LOG.info("%s%s has changed since it was predicted.", recording, parts)
        return False

    def _names_in_output(self, recording: "RecordingFile") -> list[str]:
        """Returns the names under which the output has a prediction of a recording.

        A table has it under another name if its path was spelled in another way.
        """
        name = self._key(recording)
        if self.file is None:
            return [name] if os.path.isfile(self._timeline_path(recording)) else []
        others: set[str] = set()
        # What came through a pipe has a path for a moment only.
        if not recording.is_piped:
            others = self.origins.names_of(self.origin_of[recording.path])
        return [found for found in (name, *sorted(others - {name})) if self.file.contains(found)]

    def _key(self, recording: "RecordingFile") -> str:
        """Returns the name of a recording in the output."""
        if self.file is not None:
            return self.file.name_of(str(recording))
        return os.path.relpath(self._timeline_path(recording), self.values.out)

    def _timeline_path(self, recording: "RecordingFile") -> str:
        stem, _ = os.path.splitext(recording.name)
        return os.path.join(self.values.out, stem + prediction_lines.SUFFIX[self.values.format])

    def _check_names(self, recordings: Sequence["RecordingFile"]) -> None:
        """Raises NameTakenError if two recordings would have one name in a submission."""
        if not self.values.format.startswith("dcase"):
            return
        for recording in recordings:
            name = os.path.basename(recording.path)
            first = self.path_of.setdefault(name, recording.path)
            if first != recording.path:
                raise NameTakenError(
                    f"{first} and {recording.path} would both be audio/{name} in the format "
                    f"{self.values.format}.",
                    "Run the command for each folder, with another --out each time, or rename one.",
                )

    def _check_paths(self, recordings: Sequence["RecordingFile"]) -> None:
        """Raises NameTakenError if two recordings would be written to the same file."""
        recording_of = {}
        for recording in recordings:
            path = self._timeline_path(recording)
            if path in recording_of:
                raise NameTakenError(
                    f"{recording_of[path]} and {recording} would both be written to {path}.",
                    "Run the command for each folder, with another --out each time.",
                )
            recording_of[path] = recording


def has_timelines(values: flags.FlagValues) -> bool:
    """Returns whether the output has a line for each window; Audacity's labels always do."""
    return values.timeline or values.format == "audacity"


def warn_of_low_rate(name: str, rate: int, classifier: "Classifier") -> None:
    """Logs a warning if a sample rate is below that of the training data."""
    trained_rate = classifier.card["sample_rate_hz"]
    if rate < trained_rate:
        command.LOG.warning(
            "%s has a sample rate of %d Hz, but the model was trained at %d Hz. The recording "
            "lacks all frequencies above %d Hz, so the prediction may be less accurate.",
            name,
            rate,
            trained_rate,
            rate // 2,
        )


class _SecondsBar:
    """A progress bar that counts seconds of recordings."""

    def __init__(self, recordings: Sequence["RecordingFile"]):
        self.lengths = {str(recording): recording.seconds for recording in recordings}
        self.total = sum(self.lengths.values())
        # Seconds of the recordings that are finished.
        self.done = 0.0
        self.bar = progress.progress_bar("predict", "s")

    def update(self, recording: "RecordingFile", seconds: float) -> None:
        """Shows that `seconds` of a recording are done, in addition to the finished ones."""
        self._show(self.done + min(seconds, self.lengths[str(recording)]))

    def finish(self, recording: "RecordingFile") -> None:
        """Shows that a recording is finished."""
        self.done += self.lengths[str(recording)]
        self._show(self.done)

    def _show(self, seconds: float) -> None:
        self.bar(round(seconds), max(1, round(self.total)))

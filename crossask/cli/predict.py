"""crossask-predict: predicts the scenes of recordings with an exported model.

crossask-predict SOURCE...
    Predicts with the starter model, which knows ten everyday scenes.
crossask-predict --model=MODEL SOURCE...
    A source is a sound file, a folder, a pattern such as 'day1/*.wav', or - for standard input.
crossask-predict --model=MODEL --format=csv --out=TABLE.csv FOLDER
    Appends to TABLE.csv. Recordings that are in it already are skipped.
crossask-predict --model=MODEL --timeline LONG.wav
    Predicts the scene over time.
crossask-predict --model=MODEL --format=audacity --out=LABELS FOLDER
    Writes the scenes over time as label tracks for Audacity.
crossask-predict --model=MODEL --watch FOLDER
    Predicts the scene of each new file in the folder, until the command is stopped.
arecord -t raw -f S16_LE -r 48000 -c 2 | crossask-predict --model=MODEL --stream --rate=48000
    Predicts once a second from a stream of raw samples.

Formats: text, csv, json (one object a line), audacity (labels), dcase2019 and dcase2024
(submissions to the DCASE challenge).
"""

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from crossask import locks
from crossask.cli import command, progress, shared_flags
from crossask.errors import AudioError, CrossaskError, Preempted
from crossask.serving import prediction_files
from crossask.serving.cards import model_digest
from crossask.serving.origins import Origin, Origins, origin_of

if TYPE_CHECKING:
    from crossask.serving import Classifier, Prediction
    from crossask.serving.sources import RecordingFile

FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
flags.DEFINE_string(
    "model",
    "",
    "SavedModel (a folder) or LiteRT file (.tflite, needs no TensorFlow) written by "
    "crossask-export; default: the starter model.",
    flag_values=FLAGS,
)
shared_flags.define_trust_flag(FLAGS)
flags.DEFINE_enum(
    "format", "text", prediction_files.FORMATS, "Format of the output.", flag_values=FLAGS
)
flags.DEFINE_bool(
    "timeline",
    False,
    "Write a prediction for each window of a recording instead of the mean over its windows.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "out",
    "",
    "Output file; with --timeline or --format=audacity a folder, with one file for each recording. "
    "Recordings that are already in it are skipped. Default: standard output.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "hop",
    None,
    "Seconds between the starts of windows in a long recording, at most a window; default: half of "
    "a window.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "embeddings",
    None,
    "For a model of a row with event_model.name=precomputed: .npz with the embeddings of each "
    "recording, by its path or the end of it, such as the file name.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "top", 3, "Number of scenes in the format text.", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_bool(
    "watch",
    False,
    "Predict the scene of each new file in a folder, until the command is stopped.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "stream",
    False,
    "Read raw 16-bit samples from standard input; print one line a second.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "rate",
    48000,
    "Sample rate of --stream in Hz.",
    lower_bound=1000,
    upper_bound=1_000_000,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "channels", 2, "Channels of --stream.", lower_bound=1, upper_bound=2, flag_values=FLAGS
)


def predict(values: flags.FlagValues, words: list[str]) -> int:
    """Predicts the scenes of the recordings that the words of the command line select."""
    _check_flags(values, words)
    if values.stream:
        return _predict_stream(values)
    with _lock_of_output(values):
        if values.watch:
            return _predict_watched(values, words[0])
        return _predict_recordings(values, words)


def _lock_of_output(values: flags.FlagValues) -> contextlib.AbstractContextManager[None]:
    """Returns the lock of the output table, or of the folder of timelines."""
    if not values.out:
        return contextlib.nullcontext()
    if _has_timelines(values):
        return locks.of_folder(values.out)
    return locks.of_path(values.out)


def _classifier(values: flags.FlagValues) -> "Classifier":
    """Returns the model that the flags select."""
    from crossask.serving import Classifier

    return Classifier(values.model or None, values.hop, values.embeddings, values.trust_model)


def _has_timelines(values: flags.FlagValues) -> bool:
    """Returns whether the output has a line for each window; Audacity's labels always do."""
    return values.timeline or values.format == "audacity"


def _check_flags(values: flags.FlagValues, words: Sequence[str]) -> None:
    """Raises CrossaskError for flags and words that do not fit each other."""
    if not words and not values.stream:
        raise CrossaskError(
            "No recording is given.",
            "Give one or more: crossask-predict --model=MODEL FILE_OR_FOLDER...",
        )
    if _has_timelines(values) and values.format not in prediction_files.TIMELINE_FORMATS:
        raise CrossaskError(
            f"--timeline cannot be written in the format {values.format}.",
            f"Use one of: {', '.join(prediction_files.TIMELINE_FORMATS)}.",
        )
    if values.stream:
        excluded = words or values.watch or values.out or values.embeddings
        excluded = excluded or _has_timelines(values)
        if excluded or values.format not in ("text", "json"):
            raise CrossaskError(
                "--stream can be combined with --format=text or --format=json only.",
                "Remove files, --watch, --out, --embeddings and --timeline.",
            )
    else:
        # The header of a sound file contains both.
        command.refuse(values, ("rate", "channels"), "sound files", ", or add --stream")
    if values.watch and values.format == "audacity" and not values.out:
        raise CrossaskError(
            "The labels of all recordings that --watch finds would be one track.",
            "Add --out=FOLDER to write a file for each recording.",
        )
    if values.watch and len(words) != 1:
        raise CrossaskError(
            f"--watch needs one folder, but {len(words)} folders are given.", "Give one folder."
        )


def _predict_stream(values: flags.FlagValues) -> int:
    """Prints a prediction each second, until the stream ends or the command is stopped."""
    from crossask.serving import sources

    classifier = _classifier(values)
    _warn_of_low_rate("The stream", values.rate, classifier)
    seconds = 0
    # Stopping the command is how a stream usually ends.
    with contextlib.suppress(KeyboardInterrupt, Preempted):
        stream = sources.pcm_stream(values.rate, values.channels, classifier.clip_seconds)
        for seconds, waveform in stream:
            prediction = None
            if len(waveform) >= round(classifier.clip_seconds * values.rate):
                (prediction,) = classifier.predict_each([waveform], values.rate)
            print(_stream_line(seconds, prediction, values), flush=True)
        if seconds == 0:
            command.LOG.warning("The stream ended before it had one second of sound.")
    return 0


def _stream_line(seconds: int, prediction: "Prediction | None", values: flags.FlagValues) -> str:
    """Returns the line of one second of a stream.

    Args:
      seconds: Seconds since the start.
      prediction: The prediction for the latest window; None if there is no whole window yet.
      values: The flags.
    """
    if prediction is None:
        state = "listening"
    elif prediction.is_silent:
        state = "silent"
    else:
        state = "predicted"
    if values.format == "json":
        line: dict[str, Any] = {"seconds": seconds, "state": state, "scene": None}
        if state == "predicted":
            line["scene"] = prediction.scene
            line["probabilities"] = prediction.probabilities
        return json.dumps(line)
    text = state
    if state == "predicted":
        text = prediction_files.top_scenes_text(prediction, values.top)
    return f"{prediction_files.clock_text(seconds)} {text}"


def _predict_watched(values: flags.FlagValues, folder: str) -> int:
    """Predicts for new files in a folder, until the command is stopped."""
    from crossask.serving import sources

    writer = _Writer(values, _classifier(values))
    # Stopping the command is the only way in which watching ends.
    with contextlib.suppress(KeyboardInterrupt, Preempted):
        for complete in sources.watch_folder(folder):
            writer.predict(complete, shows_progress=False)
    return 0


def _predict_recordings(values: flags.FlagValues, words: Sequence[str]) -> int:
    """Predicts for all recordings and returns the exit code."""
    from crossask.serving import sources

    reads_standard_input = list(words) == [sources.STANDARD_INPUT]
    # Wrong paths are reported before the model is loaded, which takes seconds.
    recordings = [] if reads_standard_input else sources.find_recordings(words)
    writer = _Writer(values, _classifier(values))
    with contextlib.ExitStack() as stack:
        if reads_standard_input:
            recordings.append(stack.enter_context(sources.standard_input()))
        recordings = stack.enter_context(sources.copied_pipes(recordings))
        # The bar is drawn if the results go to a file, or if there is a terminal to draw it on.
        writer.predict(recordings, shows_progress=bool(values.out) or sys.stderr.isatty())
    # A single error needs no count.
    if writer.failed and len(recordings) > 1:
        print(f"{writer.failed} of {len(recordings)} files could not be used.", file=sys.stderr)
    return command.exit_code(writer.failed, len(recordings))


def _warn_of_low_rate(name: str, rate: int, classifier: "Classifier") -> None:
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


class _Writer:
    """Predicts for recordings and writes the results to standard output, a file or a folder.

    Attributes:
      failed: Number of recordings that could not be used.
    """

    def __init__(self, values: flags.FlagValues, classifier: "Classifier"):
        self.values = values
        self.classifier = classifier
        self.has_timelines = _has_timelines(values)
        self.failed = 0
        # Base name -> path of the recording, for the formats that contain base names.
        self.path_of: dict[str, str] = {}
        # Path of a recording -> the recording as it was before it was read.
        self.origin_of: dict[str, Origin] = {}
        # Sample rates for which the warning about low rates is settled: one warning a rate.
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

    def _not_written(self, recordings: Sequence["RecordingFile"]) -> list["RecordingFile"]:
        """Returns the recordings that are not in the output yet, and logs how many are.

        Raises:
          CrossaskError: The output would not distinguish two recordings.
        """
        self._check_names(recordings)
        for recording in recordings:
            self.origin_of[recording.path] = origin_of(recording.path, self.values.format)
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
            _warn_of_low_rate(prediction.source, prediction.sample_rate_hz, self.classifier)
        for warning in prediction.warnings:
            command.LOG.warning("%s %s.", prediction.source, warning)

    def _header(self) -> str:
        return prediction_files.header_line(
            self.values.format, self.classifier.scenes, self.has_timelines
        )

    def _write(self, recording: "RecordingFile", prediction: "Prediction") -> None:
        """Writes one prediction to the output."""
        if self.origins is None:
            self._write_lines(recording, prediction)
            return
        name = self._key(recording)
        origin = self.origin_of[recording.path]
        self.origins.begin(name, origin)
        self._write_lines(recording, prediction)
        self.origins.add(name, origin)

    def _write_lines(self, recording: "RecordingFile", prediction: "Prediction") -> None:
        """Writes the lines of a recording to the table, to its own file, or to standard output."""
        if self.file is not None:
            self.file.append(prediction, self.values.top)
            return
        if self.has_timelines:
            lines = prediction_files.timeline_lines(prediction, self.values.format, self.values.top)
        else:
            lines = prediction_files.prediction_line(
                prediction, self.values.format, self.values.top
            )
        if self.values.out:
            self._write_timeline(self._timeline_path(recording), self._header() + lines)
        else:
            sys.stdout.write(lines)
            sys.stdout.flush()

    def _write_timeline(self, path: str, content: str) -> None:
        """Writes the file of one recording; raises CrossaskError if that is not possible."""
        from crossask import files

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
          CrossaskError: It has one under the name of this recording that is, or may be, of another.
        """
        if recording.is_changed or self.origins is None:
            return False
        if self.file is not None:
            has_name = self.file.contains(str(recording))
        else:
            has_name = os.path.isfile(self._timeline_path(recording))
        if not has_name:
            return False
        if recording.is_piped:
            raise CrossaskError(
                f"{self.values.out} has a prediction of {recording} already, which may have been "
                "another sound.",
                "Set --out to another file, or write the sound to a file with a name of its own.",
            )
        if self.origins.is_same(self._key(recording), self.origin_of[recording.path]):
            return True
        command.LOG.info("%s has changed since it was predicted.", recording)
        return False

    def _key(self, recording: "RecordingFile") -> str:
        """Returns the name of a recording in the output."""
        if self.file is not None:
            return self.file.name_of(str(recording))
        return os.path.relpath(self._timeline_path(recording), self.values.out)

    def _timeline_path(self, recording: "RecordingFile") -> str:
        stem, _ = os.path.splitext(recording.name)
        return os.path.join(self.values.out, stem + prediction_files.SUFFIX[self.values.format])

    def _check_names(self, recordings: Sequence["RecordingFile"]) -> None:
        """Raises CrossaskError if two recordings would have one name in a submission."""
        if not self.values.format.startswith("dcase"):
            return
        for recording in recordings:
            name = os.path.basename(recording.path)
            first = self.path_of.setdefault(name, recording.path)
            if first != recording.path:
                raise CrossaskError(
                    f"{first} and {recording.path} would both be audio/{name} in the format "
                    f"{self.values.format}.",
                    "Run the command for each folder, with another --out each time, or rename one.",
                )

    def _check_paths(self, recordings: Sequence["RecordingFile"]) -> None:
        """Raises CrossaskError if two recordings would be written to the same file."""
        recording_of = {}
        for recording in recordings:
            path = self._timeline_path(recording)
            if path in recording_of:
                raise CrossaskError(
                    f"{recording_of[path]} and {recording} would both be written to {path}.",
                    "Run the command for each folder, with another --out each time.",
                )
            recording_of[path] = recording


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, predict, argv)


if __name__ == "__main__":
    sys.exit(main())

"""crossask-predict: predicts the scenes of recordings with the starter model or an exported one.

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
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from crossask import locks
from crossask.audio import notices
from crossask.cli import command, shared_flags
from crossask.cli.prediction_writer import PredictionWriter, has_timelines, warn_of_low_rate
from crossask.errors import AudioError, CrossaskError, Preempted
from crossask.serving import prediction_lines

if TYPE_CHECKING:
    from crossask.serving import Classifier, Prediction

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
    "format", "text", prediction_lines.FORMATS, "Format of the output.", flag_values=FLAGS
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

# Suffixes of tables that are no text, unless the user says so.
FORMAT_OF_SUFFIX = {".csv": "csv", ".json": "json", ".jsonl": "json"}


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
    if has_timelines(values):
        return locks.of_folder(values.out)
    return locks.of_path(values.out)


def _classifier(values: flags.FlagValues) -> "Classifier":
    """Returns the model that the flags select."""
    from crossask.serving import Classifier

    return Classifier(values.model or None, values.hop, values.embeddings, values.trust_model)


def _check_flags(values: flags.FlagValues, words: Sequence[str]) -> None:
    """Raises CrossaskError for flags and words that do not fit each other."""
    if not words and not values.stream:
        raise CrossaskError(
            "No recording is given.",
            "Give one or more: crossask-predict FILE_OR_FOLDER... (--model=MODEL for another model "
            "than the starter model).",
        )
    if has_timelines(values) and values.format not in prediction_lines.TIMELINE_FORMATS:
        raise CrossaskError(
            f"--timeline cannot be written in the format {values.format}.",
            f"Use one of: {', '.join(prediction_lines.TIMELINE_FORMATS)}.",
        )
    if values.format != "text":
        command.refuse(values, ("top",), f"--format={values.format}", ", or set --format=text")
    if values.stream:
        # A stream has one window, which moves by a second.
        command.refuse(values, ("hop",), "--stream")
        excluded = words or values.watch or values.out or values.embeddings
        excluded = excluded or has_timelines(values)
        if excluded or values.format not in ("text", "json"):
            raise CrossaskError(
                "--stream can be combined with --format=text or --format=json only.",
                "Remove files, --watch, --out, --embeddings and --timeline.",
            )
    else:
        # The header of a sound file contains both.
        command.refuse(values, ("rate", "channels"), "sound files", ", or add --stream")
    _check_out(values)
    if values.watch and values.format == "audacity" and not values.out:
        raise CrossaskError(
            "The labels of all recordings that --watch finds would be one track.",
            "Add --out=FOLDER to write a file for each recording.",
        )
    if values.watch and len(words) != 1:
        raise CrossaskError(
            f"--watch needs one folder, but {len(words)} folders are given.", "Give one folder."
        )


def _check_out(values: flags.FlagValues) -> None:
    """Raises CrossaskError if the output table is no file, or has the suffix of another format."""
    out = Path(values.out)
    if not values.out or has_timelines(values):
        return
    file_format = FORMAT_OF_SUFFIX.get(out.suffix.lower())
    if file_format is not None and not values["format"].present:
        raise CrossaskError(
            f"--out ends in {out.suffix}, and the format is text.",
            f"Add --format={file_format}, or --format=text for lines of text.",
        )
    if not out.exists() or out.is_file():
        return
    if out.is_dir():
        raise CrossaskError(
            f"{out} cannot be used as output file: it is a folder.",
            "Give the path of a file, or add --timeline for a file for each recording.",
        )
    # It would be read first, to continue it, and a pipe to another program has no end.
    raise CrossaskError(
        f"{out} cannot be used as output file: it is a pipe or a device.",
        "Remove --out: predictions are then written to standard output.",
    )


def _predict_stream(values: flags.FlagValues) -> int:
    """Prints a prediction each second, until the stream ends or the command is stopped."""
    from crossask.serving import sources

    classifier = _classifier(values)
    warn_of_low_rate("The stream", values.rate, classifier)
    seconds = 0
    # Stopping the command is how a stream usually ends.
    with contextlib.suppress(KeyboardInterrupt, Preempted):
        stream = sources.pcm_stream(values.rate, values.channels, classifier.clip_seconds)
        for seconds, waveform in stream:
            prediction = None
            if len(waveform) >= round(classifier.clip_seconds * values.rate):
                (outcome,) = classifier.predict_each([waveform], values.rate)
                if isinstance(outcome, AudioError):
                    raise outcome
                prediction = outcome
                _warn_of_remarks(prediction)
            print(_stream_line(seconds, prediction, values), flush=True)
        if seconds == 0:
            command.LOG.warning("The stream ended before it had one second of sound.")
    return 0


def _warn_of_remarks(prediction: "Prediction") -> None:
    """Logs what is unusual about a stream, such as a silent channel; each remark once."""
    for remark in prediction.remarks:
        notices.log_once(f"stream {remark}", logging.WARNING, "The stream %s.", remark)


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
            line["sure"] = prediction.is_sure
        return json.dumps(line)
    text = state
    if state == "predicted":
        text = prediction_lines.top_scenes_text(prediction, values.top)
    return f"{prediction_lines.clock_text(seconds)} {text}"


def _predict_watched(values: flags.FlagValues, folder: str) -> int:
    """Predicts for new files in a folder, until the command is stopped."""
    from crossask.serving import sources

    writer = PredictionWriter(values, _classifier(values))
    # Stopping the command is the only way in which watching ends.
    with contextlib.suppress(KeyboardInterrupt, Preempted):
        for complete in sources.watch_folder(folder):
            writer.predict_found(complete)
    return 0


def _predict_recordings(values: flags.FlagValues, words: Sequence[str]) -> int:
    """Predicts for all recordings and returns the exit code."""
    from crossask.serving import sources

    reads_standard_input = list(words) == [sources.STANDARD_INPUT]
    # Wrong paths are reported before the model is loaded, which takes seconds.
    recordings = [] if reads_standard_input else sources.find_recordings(words)
    writer = PredictionWriter(values, _classifier(values))
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, predict, argv)


if __name__ == "__main__":
    sys.exit(main())

"""Classifies the recordings of a visitor: several files, each by one or two models."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from crossask.audio import reading
from crossask.errors import AudioError
from crossask.serving import Classifier, Prediction
from crossask.serving.sources import RecordingFile

Models = Mapping[str, Classifier]
# Called before each file with its number from 0, the number of files, and its name.
Report = Callable[[int, int, str], None]
# Called often with the seconds of sound that have been read; it raises an error to end the work.
Check = Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest recordings and requests that the page takes.

    Attributes:
      file_megabytes: Largest file.
      minutes: Longest recording.
      files: Largest number of files that are classified together.
      request_seconds: Longest time that a request is computed.
      waiting: Largest number of requests that wait, of those with short and with long sounds each.
    """

    file_megabytes: int = 500
    minutes: float = 30.0
    files: int = 50
    request_seconds: float = 600.0
    waiting: int = 200


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the models predict for one file, or why it cannot be used.

    Attributes:
      name: Name of the file, unique among the files of the visitor.
      predictions: The prediction of each model; () for a file that cannot be used.
      problem: Why the file cannot be used, and what to do; "" if it can.
    """

    name: str
    predictions: tuple[Prediction, ...] = ()
    problem: str = ""


def nothing_to_check(_seconds: float) -> None:
    """Does nothing; the default of `Check`."""


def seconds_of(paths: Sequence[str]) -> float:
    """Returns the sum of the lengths of files in seconds, according to their headers."""
    return sum(reading.seconds_of(path) for path in paths)


def check_count(paths: Sequence[str], limits: Limits) -> None:
    """Raises AudioError if there are more files than `limits.files`."""
    if len(paths) > limits.files:
        raise AudioError(
            f"{len(paths)} files are more than this page classifies at once.",
            f"Choose at most {limits.files} files.",
        )


def classify(
    models: Models,
    paths: Sequence[str],
    limits: Limits,
    report: Report | None = None,
    check: Check = nothing_to_check,
) -> list[Outcome]:
    """Returns the outcome of each file.

    Args:
      models: The models by name.
      paths: The files.
      limits: What is refused.
      report: Called before each file.
      check: Called with the seconds of sound that have been read; its errors end the work.
    """
    outcomes = []
    seconds_before = 0.0
    for number, (path, name) in enumerate(zip(paths, unique_names(paths), strict=True)):
        if report is not None:
            report(number, len(paths), name)
        recording = RecordingFile(path, name, title=name)
        try:
            predictions = []
            for model in models.values():
                predictions.append(predict(model, recording, limits, check, seconds_before))
            outcomes.append(Outcome(name, tuple(predictions)))
            seconds_before += predictions[0].seconds
        except AudioError as error:
            outcomes.append(Outcome(name, problem=problem_text(error, path, name)))
    return outcomes


def predict(
    model: Classifier,
    recording: RecordingFile,
    limits: Limits,
    check: Check = nothing_to_check,
    seconds_before: float = 0.0,
) -> Prediction:
    """Returns the prediction for one file.

    Args:
      model: The model.
      recording: The file.
      limits: What is refused.
      check: As in `classify`.
      seconds_before: Length of the files that have been read before.

    Raises:
      AudioError: The file cannot be used, or is longer than `limits.minutes`.
    """
    too_long = AudioError(
        f"{recording} is longer than {limits.minutes:g} minutes, the limit of this page.",
        "Use a part of it, or classify it with crossask-predict.",
    )
    longest_seconds = 60 * limits.minutes

    def check_seconds(_source: object, seconds: float) -> None:
        # The length in a header may be missing or wrong.
        if seconds > longest_seconds:
            raise too_long
        check(seconds_before + seconds)

    check(seconds_before)
    if _is_longer(recording.path, longest_seconds):
        raise too_long
    (outcome,) = model.predict_each([recording], progress=check_seconds)
    if isinstance(outcome, AudioError):
        raise outcome
    return outcome


def _is_longer(path: str, seconds: float) -> bool:
    """Returns whether a file is longer according to its header.

    The length of a file without one is an estimate, by which no recording is refused.
    """
    try:
        facts = reading.facts_of(path)
    except AudioError:
        # It is raised where the file is read.
        return False
    return facts.has_exact_seconds and facts.seconds > seconds


def unique_names(paths: Sequence[str]) -> list[str]:
    """Returns the name of each file; the second "a.wav" is "a (2).wav"."""
    names: list[str] = []
    for path in paths:
        file = Path(path)
        name = file.name
        number = 1
        while name in names:
            number += 1
            name = f"{file.stem} ({number}){file.suffix}"
        names.append(name)
    return names


def problem_text(error: AudioError, path: str, name: str) -> str:
    """Returns an error about a file as text that has the file's name instead of its path."""
    return f"{error.problem} {error.fix}".replace(str(path), name)

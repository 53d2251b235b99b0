"""The files that a visitor can save: tables, labels for Audacity, and pictures.

A file is a link with its content in it (a data URL), so the server stores nothing.
"""

import base64
import dataclasses
import io
import re
import zipfile
from collections.abc import Sequence

from crossask.app.outcomes import Outcome
from crossask.serving import Prediction, prediction_lines, words


@dataclasses.dataclass(frozen=True)
class Download:
    """A file that a visitor can save.

    Attributes:
      label: Text of the link.
      name: Name of the file.
      media_type: Its media type.
      content: Its content.
    """

    label: str
    name: str
    media_type: str
    content: bytes

    @property
    def url(self) -> str:
        """The data URL."""
        return data_url(self.content, self.media_type)


def data_url(content: bytes, media_type: str) -> str:
    """Returns a URL that contains the content."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def file_name(name: str) -> str:
    """Returns a name without the characters that mean folders or drives on some systems."""
    return re.sub(r"[/\\:\x00-\x1f]", "_", name)


def files_of_prediction(prediction: Prediction, stem: str) -> list[Download]:
    """Returns the files of one prediction.

    Args:
      prediction: The prediction.
      stem: Name of the files without suffix.
    """
    header = prediction_lines.header_line("csv", list(prediction.probabilities), has_timeline=True)
    table = header + prediction_lines.timeline_lines(prediction, "csv")
    return [
        Download("Table (CSV)", f"{stem}.csv", "text/csv", table.encode()),
        Download("Labels for Audacity", f"{stem}.txt", "text/plain", _audacity_labels(prediction)),
    ]


def picture_file(picture: bytes, stem: str) -> Download:
    """Returns a PNG as a file."""
    return Download("Picture (PNG)", f"{stem}.png", "image/png", picture)


def files_of_all(outcomes: Sequence[Outcome], model_names: Sequence[str]) -> list[Download]:
    """Returns the files that contain several recordings: for each model a table, and the labels.

    Args:
      outcomes: Outcomes of the recordings; those that cannot be used are left out.
      model_names: Names of the models in the order of `Outcome.predictions`.
    """
    files = []
    for number, model_name in enumerate(model_names):
        predictions = []
        for outcome in outcomes:
            if outcome.predictions:
                predictions.append(outcome.predictions[number])
        if not predictions:
            continue
        title = ""
        stem = "recordings"
        if len(model_names) > 1:
            title = f", {model_name}"
            stem = f"recordings_{file_name(model_name)}"
        table = Download(
            f"Table of all recordings (CSV{title})", f"{stem}.csv", "text/csv", _table(predictions)
        )
        labels = Download(
            f"Labels of all recordings for Audacity (ZIP{title})",
            f"{stem}_labels.zip",
            "application/zip",
            _zip_of_labels(predictions),
        )
        files += [table, labels]
    return files


def _table(predictions: Sequence[Prediction]) -> bytes:
    """Returns a CSV with one line for each recording.

    It is the CSV of crossask-predict with a last column `in_words`, which also says what is silent.
    """
    scenes = list(predictions[0].probabilities)
    header = prediction_lines.header_line("csv", scenes, has_timeline=False)
    lines = [_with_cell(header, "in_words")]
    for prediction in predictions:
        line = prediction_lines.prediction_line(prediction, "csv")
        lines.append(_with_cell(line, words.in_words(prediction)))
    return "".join(lines).encode()


def _with_cell(line: str, cell: str) -> str:
    """Returns a line of a CSV with one more cell at its end."""
    start = line.removesuffix("\n")
    return f"{start},{prediction_lines.csv_line([cell])}"


def _audacity_labels(prediction: Prediction) -> bytes:
    return prediction_lines.timeline_lines(prediction, "audacity").encode()


def _zip_of_labels(predictions: Sequence[Prediction]) -> bytes:
    """Returns a ZIP with the labels of each recording that is not silent."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for prediction in predictions:
            if not prediction.is_silent:
                # With the suffix of the recording: there may be a.wav and a.mp3.
                entry = zipfile.ZipInfo(f"{file_name(prediction.source)}.txt")
                writer.writestr(entry, _audacity_labels(prediction))
    return archive.getvalue()

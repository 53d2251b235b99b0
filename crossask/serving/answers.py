"""Answers as text, CSV, JSON lines, Audacity labels, and in the form that the DCASE challenge takes."""

import csv
import io
import json
from pathlib import Path

from crossask.errors import CrossaskError

FORMATS = ("text", "csv", "json", "audacity", "dcase2019", "dcase2024")
TIMELINES = ("text", "csv", "json", "audacity")
SUFFIX = {"text": ".txt", "csv": ".csv", "json": ".jsonl", "audacity": ".txt"}


def header(form: str, scenes, timeline: bool) -> str:
    """The first line of a table, or ""."""
    if form == "csv":
        return _line(
            ["file", *(["start_seconds", "end_seconds"] if timeline else []), "scene", *scenes]
        )
    if form == "dcase2024":
        return _line(["filename", "scene_label", *scenes], "\t")
    return ""


def row(answer, form: str, top: int = 3) -> str:
    """One recording as one line, with its end; `top` scenes where it is text.

    "dcase2019": file and scene, "dcase2024": file, scene and a probability a scene; tabs between, the file as audio/NAME.
    """
    if form.startswith("dcase"):
        probabilities = (
            [f"{share:.6f}" for share in answer.probabilities.values()]
            if form == "dcase2024"
            else []
        )
        return _line([f"audio/{Path(answer.source).name}", answer.scene, *probabilities], "\t")
    if form == "csv":
        return _line([answer.source, answer.scene, *_shares(answer)])
    if form == "json":
        return (
            json.dumps(
                {
                    "file": answer.source,
                    "scene": answer.scene,
                    "probabilities": answer.probabilities,
                }
            )
            + "\n"
        )
    return f"{answer.source}: {in_words(answer, top)}\n"


def timeline(answer, form: str, top: int = 3) -> str:
    """One recording as a line a window; in Audacity's labels, windows that follow each other with one scene are one label."""
    if form == "audacity":
        return "".join(
            _line([f"{start:.6f}", f"{end:.6f}", scene], "\t")
            for start, end, scene in _stretches(answer)
        )
    lines = []
    for segment in answer.timeline:
        start, end = segment.start_seconds, segment.end_seconds
        if form == "csv":
            lines.append(
                _line(
                    [answer.source, f"{start:.3f}", f"{end:.3f}", segment.scene, *_shares(segment)]
                )
            )
        elif form == "json":
            values = {
                "file": answer.source,
                "start_seconds": start,
                "end_seconds": end,
                "scene": segment.scene,
            }
            lines.append(json.dumps(values | {"probabilities": segment.probabilities}) + "\n")
        else:
            lines.append(f"{clock(start)} to {clock(end)} {in_words(segment, top)}\n")
    return "".join(lines)


def in_words(answer, top: int) -> str:
    return ", ".join(f"{scene} {100 * share:.1f} %" for scene, share in answer.top(top))


def clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class Table:
    """A file to which answers are added as they come; one that was begun before goes on, and knows whom it has answered.

    Raises:
      CrossaskError: the file was begun in another form or with another model's scenes, or cannot be written.
    """

    def __init__(self, path, form: str, scenes):
        self.path, self.form = Path(path), form
        try:
            self.answered = self._begin(header(form, scenes, timeline=False))
            self._file = open(self.path, "a", encoding="utf-8", newline="")  # noqa: SIM115 it is closed by `close`
        except (OSError, UnicodeDecodeError) as error:
            raise CrossaskError(
                f"{self.path} cannot be written as a table ({error}).", "Give --out another file."
            ) from error

    def add(self, answer, top: int = 3):
        self._file.write(row(answer, self.form, top))
        self._file.flush()

    def knows(self, source) -> bool:
        return (
            f"audio/{Path(source).name}" if self.form.startswith("dcase") else str(source)
        ) in self.answered

    def close(self):
        self._file.close()

    def _begin(self, first: str) -> set[str]:
        """Whom the file has answered; it then ends with a whole line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        begun = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole = begun[
            : begun.rfind("\n") + 1
        ]  # a line that was being written when the machine stopped is written anew
        if whole and not whole.startswith(first):
            raise CrossaskError(
                f"{self.path} was begun in another form or with another model.",
                "Give another --out, or remove it.",
            )
        if whole != begun or not whole:
            self.path.write_text(whole or first, encoding="utf-8", newline="")
        return {self._name(line) for line in whole[len(first) :].splitlines()}

    def _name(self, line: str) -> str:
        if self.form == "text":
            return line.rpartition(": ")[0]
        try:
            if self.form == "json":
                return json.loads(line)["file"]
            (cells,) = csv.reader([line], delimiter="\t" if self.form.startswith("dcase") else ",")
            return cells[0]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CrossaskError(
                f"{self.path} holds the line {line!r}.",
                "It is no table of answers; give another --out.",
            ) from error


def _stretches(answer):
    """(start, end, scene) of windows in a row with one scene; where windows overlap, one ends in the middle of the overlap."""
    stretches = []
    for segment in answer.timeline:
        if stretches and stretches[-1][2] == segment.scene:
            stretches[-1][1] = segment.end_seconds
        else:
            start = segment.start_seconds
            if stretches:
                start = stretches[-1][1] = (stretches[-1][1] + start) / 2
            stretches.append([start, segment.end_seconds, segment.scene])
    return stretches


def _shares(answer) -> list[str]:
    return [f"{share:.6f}" for share in answer.probabilities.values()]


def _line(cells, delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(cells)
    return text.getvalue()

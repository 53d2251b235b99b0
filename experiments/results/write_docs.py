"""Writes the stored results into the documentation.

  python experiments/results/write_docs.py

Every figure and every verdict comes from a JSON file of this folder, so that the documentation
cannot differ from it. docs/results.md is made from templates/results.md, and the blocks between the
markers `<!-- results: NAME -->` and `<!-- end -->` of other pages from templates/NAME.md.
`make docs` calls this program.
"""

import dataclasses
import functools
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
from pictures import Picture, pictures
from studies import STUDIES, Study, needs

from crossask import config, evaluation
from crossask.report import findings, formatting, studies

RESULTS = Path(__file__).parent
ROOT = RESULTS.parents[1]
IMAGES = ROOT / "docs" / "images"
# The figures of `make bench`.
BENCH = ROOT / "benchmarks" / "results" / "bench.json"
# Pages with blocks. docs/results.md is written as a whole.
PAGES = ("README.md", "docs/serving.md", "experiments/results/README.md")
BLOCK = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 100
NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A difference of two rows, and its text.

    Attributes:
      value: The difference of the macro accuracies, a fraction.
      low: Lower end of its interval.
      high: Upper end of its interval.
      p_value: The adjusted p-value; None for one seed.
      verdict: "better", "worse", "cannot tell" or "one seed", about the first row.
    """

    value: float
    low: float
    high: float
    p_value: float | None
    verdict: str

    @property
    def points(self) -> str:
        """The difference in points."""
        return formatting.points(self.value)

    @property
    def range(self) -> str:
        """The interval in points."""
        return formatting.points_range(self)

    @property
    def text(self) -> str:
        """Difference and interval."""
        return f"{self.points} ({self.range})"

    @property
    def p(self) -> str:
        """The adjusted p-value, or why there is none."""
        return self.verdict if self.p_value is None else formatting.p_value(self.p_value)

    @property
    def evidence(self) -> str:
        """Difference and p-value for a sentence."""
        p = "" if self.p_value is None else f", adjusted p {self.p}"
        return f"{self.points} points{p}"

    def reversed(self) -> "Comparison":
        """Returns the second row against the first one."""
        verdict = evaluation.opposite_verdict(self.verdict)
        return Comparison(-self.value, -self.high, -self.low, self.p_value, verdict)


class Row:
    """A row of a JSON file, and its text.

    Attributes:
      content: The entry in the file.
      name: Name of the row.
      value: The macro accuracy, a fraction.
      seeds: Number of its seeds.
      percent: The macro accuracy.
      interval: Its interval.
      score: Macro accuracy and interval.
      deviation: Standard deviation over seeds.
      parameters: Number of parameters.
      validation: The macro accuracy on the validation clips, a fraction.
    """

    def __init__(self, content: Mapping[str, Any]):
        self.content = content
        self.name = content["name"]
        self.value = content["macro_accuracy"]
        self.seeds = len(content["seeds"])
        self.percent = formatting.percent(self.value)
        self.interval = formatting.percent_range(SimpleNamespace(**content["interval"]))
        self.score = f"{self.percent} ({self.interval})"
        self.deviation = formatting.deviation(content["seed_deviation"])
        self.parameters = f"{content['parameters']:,}"
        self.validation = content["validation_macro_accuracy"]

    @property
    def drift(self) -> str:
        """The embedding drift of a pre-trained event model; 0 if it is frozen."""
        if self.content["strategy"] == "feature_based":
            return "0"
        drift = self.content["embedding_drift"]
        # From scratch, the embeddings move away from those of random weights.
        if drift is None or self.content["strategy"] == "from_scratch":
            return ""
        return f"{drift:.2f}"

    def scores_as(self, other: "Row") -> bool:
        """Returns whether both rows have the same score with each seed."""
        name = "seed_macro_accuracies"
        return self.content[name] == other.content[name]

    @property
    def difference(self) -> Comparison | None:
        """The row against the baseline of the report; None for the baseline."""
        return _comparison(self.content["difference"])


class Table:
    """The corpus of a JSON file that crossask-report wrote.

    Attributes:
      name: Name of the file, without its ending.
      file: Path of the file below the folder of the repository.
      corpus: The entry in the file.
      rows: Name of a row -> the row.
      clips: Number of evaluated clips.
      locations: Number of their locations.
      is_over_clips: Whether intervals are over clips, not locations.
      chance: The macro accuracy of a guess.
      comparisons: Number of comparisons whose p-values are adjusted together.
    """

    def __init__(self, name: str, content: Mapping[str, Any]):
        (corpus,) = content["corpora"]
        self.name = name
        self.file = f"experiments/results/{name}.json"
        self.corpus = corpus
        self.rows = {row["name"]: Row(row) for row in corpus["rows"]}
        first = corpus["rows"][0]
        self.clips = f"{first['clips']:,}"
        self.locations = first["locations"]
        self.is_over_clips = first["interval"]["over"] == "clip"
        self.chance = formatting.percent(1 / corpus["scenes"])
        self.comparisons = in_words(corpus["comparisons"])

    @property
    def baseline(self) -> Row:
        """The row to which the others are compared."""
        for row in self.corpus["rows"]:
            if row["difference"]:
                return self.rows[row["difference"]["against"]]
        raise ValueError(f"{self.file} has no baseline.")

    @property
    def seeds(self) -> str:
        """Number of seeds of its rows."""
        return seeds_of(self.rows.values())

    def row(self, name: str) -> Row:
        """Returns a row."""
        return self.rows[name]

    def others(self, *left_out: str) -> list[Row]:
        """Returns the rows except the baseline, the best one first."""
        rows = []
        for row in self.rows.values():
            if row.difference is not None and row.name not in left_out:
                rows.append(row)
        return sorted(rows, key=lambda row: -row.difference.value)

    def between(self, first: str, second: str) -> Comparison | None:
        """Returns the comparison of two rows; None if the file does not contain it."""
        # A file contains the differences from its baseline and those of the paper's claims.
        found = {}
        for row in self.corpus["rows"]:
            if row["difference"]:
                found[row["name"], row["difference"]["against"]] = row["difference"]
        for claim in self.corpus.get("claims") or []:
            found[claim["first"], claim["second"]] = claim["found"]
        if (first, second) in found:
            return _comparison(found[first, second])
        comparison = _comparison(found.get((second, first)))
        return comparison.reversed() if comparison else None

    @property
    def controls(self) -> list[SimpleNamespace]:
        """The controls of the reference row, and the comparisons of that row with each."""
        found = []
        for control in self.corpus["controls"]["controls"]:
            comparison = _comparison(control["found"])
            row = self.rows[control["row"]]
            found.append(SimpleNamespace(about=control["instead"], row=row, found=comparison))
        return found

    @property
    def reference(self) -> Row:
        """The row whose controls these are."""
        return self.rows[self.corpus["controls"]["of"]]

    def control(self, about: str) -> SimpleNamespace:
        """Returns the control that has `about` instead of the embeddings."""
        (found,) = [control for control in self.controls if control.about == about]
        return found

    @property
    def shown(self) -> list[str]:
        """What the controls show."""
        return self._conclusions(("better",))

    @property
    def not_shown(self) -> list[str]:
        """What the controls do not show."""
        return self._conclusions(("cannot tell", "one seed", "worse"))

    def _conclusions(self, verdicts: Sequence[str]) -> list[str]:
        """Returns the conclusions of the controls that have one of some verdicts."""
        verdict_of = {control.about: control.found.verdict for control in self.controls}
        found = []
        for about, conclusion in studies.CONCLUSIONS.items():
            if verdict_of.get(about) in verdicts:
                found.append(conclusion)
        return found

    @property
    def swapped(self) -> dict[str, str] | None:
        """Shares of predictions with swapped inputs; None if they were not computed."""
        shares = self.corpus["controls"]["swapped"]
        if shares is None:
            return None
        names = ("log_mel", "embedding", "neither")
        return {name: formatting.percent(shares[name]) for name in names}

    @property
    def choices(self) -> list[SimpleNamespace]:
        """The changed choices, the one with the largest effect first."""
        found = []
        for choice in self.corpus["choices"]:
            key = f"{choice['field']}={choice['value']}"
            row = self.rows[choice["row"]]
            found.append(SimpleNamespace(key=key, row=row, found=_comparison(choice["found"])))
        return sorted(found, key=lambda choice: -abs(choice.found.value))

    def choice(self, key: str) -> Comparison:
        """Returns the comparison of a choice, "field=value"."""
        (found,) = [choice.found for choice in self.choices if choice.key == key]
        return found


def in_words(number: int) -> str:
    """Returns a small number as a word."""
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def seeds_of(rows: Iterable[Row]) -> str:
    """Returns "five seeds", or "one or three seeds" for rows with different numbers."""
    counts = sorted({row.seeds for row in rows})
    words = formatting.listed([in_words(count) for count in counts], "or")
    return f"{words} {'seed' if counts == [1] else 'seeds'}"


def verdict(first: str, comparison: Comparison | None, second: str) -> str:
    """Returns a sentence on the verdict about two rows; "" if they were not compared."""
    if comparison is None:
        return ""
    evidence = comparison.evidence
    if comparison.verdict == "one seed":
        return f"{first} against {second}: {evidence}; with one seed there is no verdict."
    if comparison.verdict == "cannot tell":
        return f"Whether {first} differs from {second} cannot be told ({evidence})."
    return f"{first} is {comparison.verdict} than {second} ({evidence})."


def verdicts(compared: Sequence[tuple[str, Comparison]], second: str) -> str:
    """Returns sentences on the verdicts about several rows, compared to one row."""
    groups: dict[str, list[tuple[str, Comparison]]] = {}
    for label, comparison in compared:
        groups.setdefault(comparison.verdict, []).append((label, comparison))
    sentences = []
    for word in ("better", "worse"):
        if word in groups:
            rows = [f"{label} ({found.evidence})" for label, found in groups[word]]
            sentences.append(f"{word.capitalize()} than {second}: {'; '.join(rows)}.")
    # The labels may contain commas.
    unknown = [label for label, _ in groups.get("cannot tell", [])]
    if len(unknown) == len(compared):
        sentences.append(f"By adjusted p, none of these rows can be distinguished from {second}.")
    elif unknown:
        rows = "; ".join(unknown)
        sentences.append(f"By adjusted p, these cannot be distinguished from {second}: {rows}.")
    alone = [label for label, _ in groups.get("one seed", [])]
    if len(alone) == len(compared):
        sentences.append("With one seed there is no verdict.")
    elif alone:
        sentences.append(f"With one seed there is no verdict on these: {'; '.join(alone)}.")
    return " ".join(sentences)


def clauses(sentences: Sequence[str], conjunction: str) -> str:
    """Returns "that a, that b and that c"."""
    return formatting.listed([f"that {sentence}" for sentence in sentences], conjunction)


def share(found: Mapping[str, float]) -> str:
    """Returns a share with its interval in percent."""
    interval = formatting.percent_range(SimpleNamespace(**found))
    return formatting.with_range(formatting.percent(found["value"]), interval)


def smaller_differences_of_the_paper(value: float) -> tuple[int, int]:
    """Returns how many differences of the paper's claims are below `value`, and how many exist.

    Args:
      value: A difference of macro accuracies, a fraction.
    """
    differences = findings.paper_differences().values()
    # Scores have one decimal; a fraction has six.
    limit = round(100 * abs(value), 4)
    smaller = [points for points in differences if round(abs(points), 1) < limit]
    return len(smaller), len(differences)


def times_ours(bench: Mapping[str, Any], part: str, work: str, peer: str) -> str:
    """Returns the time of a peer divided by that of crossask on one core.

    Args:
      bench: The figures of `make bench`.
      part: Part of `make bench`.
      work: Name of the work in that part.
      peer: Name of the peer.

    Raises:
      ValueError: The ratio is missing, because other processes used the core in every round.
    """
    ratio = bench[part]["figures"][work]["one core"]["sides"][peer]["ratio"]
    if ratio is None:
        raise ValueError(f"{BENCH} has no ratio for {work}: repeat `make bench ONLY={part}`.")
    return f"{ratio:.2f}"


def field(file: str, row: str, path: str) -> Any:
    """Returns a field of a row of an experiment file."""
    (found,) = config.read_experiments(f"{ROOT}/experiments/{file}.py:{row}")
    value: Any = found
    for name in path.split("."):
        value = getattr(value, name)
    return value


@dataclasses.dataclass(frozen=True)
class Stored:
    """The stored results, read once for all pages.

    Attributes:
      contents: Name of a JSON file -> its content.
      tables: Name of a JSON file that crossask-report wrote -> its table.
      pictures: The pictures of the tables.
      bench: The figures of `make bench`.
    """

    contents: Mapping[str, Any]
    tables: Mapping[str, Table]
    pictures: Sequence[Picture]
    bench: Mapping[str, Any]


def read_stored(folder: Path = RESULTS) -> Stored:
    """Returns the results of the JSON files in a folder."""
    contents = {}
    for path in sorted(folder.glob("*.json")):
        contents[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    tables = {}
    for name, content in contents.items():
        # The table of a benchmark has no corpora.
        if "corpora" in content:
            tables[name] = Table(name, content)
    labels = _environment().get_template("macros.md").module.CONTROLS
    bench = json.loads(BENCH.read_text(encoding="utf-8"))
    return Stored(contents, tables, pictures(tables, labels), bench)


def render(name: str, stored: Stored) -> str:
    """Returns the text of a template with the figures of the JSON files.

    Args:
      name: Name of the template, without its ending.
      stored: The results.
    """
    environment = _environment()
    contents = stored.contents
    by_name = {picture.name: picture for picture in stored.pictures}
    environment.globals.update(
        clauses=clauses,
        contents=contents,
        field=field,
        in_words=in_words,
        listed=formatting.listed,
        needs=_needs,
        number=formatting.number,
        picture=functools.partial(_picture, by_name),
        processor_of_bench=stored.bench["steps"]["machine"]["processor"],
        origins=[_origin(name, contents[name]) for name in contents],
        seeds_of=seeds_of,
        share=share,
        smaller_differences=smaller_differences_of_the_paper,
        studies=STUDIES,
        table=stored.tables.__getitem__,
        times_ours=functools.partial(times_ours, stored.bench),
        verdict=verdict,
        verdicts=verdicts,
    )
    return wrapped(environment.get_template(f"{name}.md").render())


def drawn(folder: Path = RESULTS) -> Sequence[Picture]:
    """Returns the pictures of the JSON files."""
    return read_stored(folder).pictures


def wrapped(text: str) -> str:
    """Returns Markdown whose paragraphs and list items have at most `WIDTH` columns."""
    lines: list[str] = []
    paragraph: list[str] = []
    # The empty line at the end ends the last paragraph.
    for line in [*text.splitlines(), ""]:
        is_prose = line.strip() != "" and not line.startswith(("|", "#", "!["))
        if not is_prose or line.startswith("- "):
            lines += _filled(paragraph)
            paragraph = []
        if is_prose:
            paragraph.append(line.strip())
        elif line.strip() or (lines and lines[-1]):
            # A template leaves several empty lines where a part is missing: one is enough.
            # An expression without text leaves two spaces in its cell.
            lines.append(re.sub(r"\|  (?=\|)", "| ", line.rstrip()))
    return "\n".join(lines).strip() + "\n"


def pages(folder: Path = RESULTS) -> dict[Path, str]:
    """Returns the path of every page -> its text with the figures of the JSON files."""
    stored = read_stored(folder)
    written = {ROOT / "docs" / "results.md": render("results", stored)}
    for name in PAGES:
        page = ROOT / name

        def block(match: re.Match) -> str:
            return f"{match[1]}\n{render(match[2], stored)}\n{match[3]}"

        written[page] = BLOCK.sub(block, page.read_text(encoding="utf-8"))
    return written


def main() -> None:
    """Writes the pages and the pictures."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    found = {f"{picture.name}.svg": picture for picture in drawn()}
    for path in IMAGES.glob("*.svg"):
        if path.name not in found:
            path.unlink()
    for name, picture in found.items():
        (IMAGES / name).write_text(picture.svg(), encoding="utf-8")


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(RESULTS / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )


def _picture(found: Mapping[str, Picture], name: str, folder: str) -> str:
    """Returns a picture in Markdown; "" if there is none.

    Args:
      found: Name -> picture.
      name: Name of the picture.
      folder: Folder of the pictures, relative to the page.
    """
    if name not in found:
        return ""
    return f"![{found[name].alt}]({folder}/{name}.svg)"


def _filled(paragraph: Sequence[str]) -> list[str]:
    """Returns the lines of a paragraph or of a list item."""
    text = " ".join(paragraph)
    indent = "  " if text.startswith("- ") else ""
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _comparison(found: Mapping[str, Any] | None) -> Comparison | None:
    """Returns a comparison of a JSON file; None if the rows were not compared."""
    if found is None:
        return None
    interval = found["interval"]
    return Comparison(
        found["difference"],
        interval["low"],
        interval["high"],
        found["adjusted_p_value"],
        found["verdict"],
    )


def _needs(study: Study) -> str:
    """Returns the variables of `make` that a study requires."""
    return ", ".join(f"`{name}`" for name in needs(study))


def _origin(name: str, content: Mapping[str, Any]) -> SimpleNamespace:
    """Returns the commits, machines and command that a JSON file was computed with."""
    machines = []
    for machine in content["machines"]:
        machines.append(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB")
    return SimpleNamespace(
        file=f"{name}.json",
        commits=", ".join(content["versions"]["commit"]),
        machines="; ".join(machines),
        command=f"`{content['command']}`",
    )


if __name__ == "__main__":
    main()

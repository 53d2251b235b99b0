"""Reports on evaluated runs: CSV, LaTeX, Markdown, pictures and one HTML page. No TensorFlow.

runs.py        the files of evaluated runs
rows.py        rows of a results table: the runs of one row and their scores
findings.py    paired differences, and agreement with the paper (its scores: paper.py)
studies.py     controls of the events, and the effect of open choices
scene_events.py  the events that stand out in each scene
devices.py     scores by recording device
misclassified.py  the clips that a row misclassifies (sounds.py: their sound files)
corpus.py      all results of one corpus
sections.py    the content of a report: tables as text, notes and pictures (content.py: what a
               section is; difference_, score_, clip_ and field_sections.py: the sections;
               figures.py: the pictures; formatting.py: percent, points, intervals)
renderers.py   HTML (templates/), Markdown, LaTeX and a summary of these sections
data.py        CSV and JSON of the results
"""

import os
from pathlib import Path

from crossask import files, stored
from crossask.errors import CrossaskError
from crossask.report import data, figures, renderers, sections
from crossask.report.content import Provenance
from crossask.report.corpus import make_results
from crossask.report.runs import machines, read_runs, versions
from crossask.report.sounds import Sounds

# The list of the files of the last report in a folder.
WRITTEN = ".report.json"


def write_report(
    runs_root: str | Path,
    out_dir: str | Path,
    baseline: str = "FA",
    resamples: int = 2000,
    json_file: str | Path | None = None,
    provenance: Provenance | None = None,
) -> dict[str, Path]:
    """Writes a report on every run at or below `runs_root`; the same arguments give the same bytes.

    Files of an earlier report in the folder are replaced, and other files remain. Those that this
    report does not have are removed: "table.csv" if there are several corpora now, and figures of
    rows that are gone.

    Args:
      runs_root: Folder that contains <row>/fold<fold>/seed<seed>/, at any depth.
      out_dir: Folder to write to; it is created if it does not exist.
      baseline: Row to compare the others with: its name, or a system (its first row).
      resamples: Number of draws of the bootstrap.
      json_file: File for all numbers as JSON; None writes none.
      provenance: Date, command and version that the report shows, and where the sounds are; None
        shows none.

    Returns:
      Name -> path of each file: "report.html", "report.md", "summary.txt", "table.csv",
      "table.tex", "misclassified.csv" and "devices.csv" (if the clips have devices); and as .png,
      .svg and .pdf "scenes", "reliability", "choices" (if open choices were changed), "events" and
      "events_by_scene" (if a row has event scores), and "confusion_<row>" and "curves_<row>" for
      each row. With several corpora the files of each have its name, as in "table_<corpus>.csv".
      "json" is the JSON file. Runs without predictions are listed as unfinished.

    Raises:
      DataError: There are no runs, or none with predictions; a file is missing or not readable;
        runs of one row differ in their choices; or there is no row or system of the baseline.
      CrossaskError: A file of the report is there already, and is of no earlier report.
    """
    runs = read_runs(runs_root)
    corpora = make_results(runs, baseline, resamples)
    finished = [run for run in runs if run.is_finished]
    found_versions = versions(finished)
    found_machines = machines(finished)
    sounds = Sounds(out_dir, provenance.data_dir if provenance else "")
    report = sections.report(corpora, found_versions, found_machines, provenance, sounds)
    figures.draw_all([picture.drawing for picture in report.pictures])

    contents = {}
    for results, corpus in zip(corpora, report.corpora, strict=True):
        contents[f"table{corpus.file_ending}.csv"] = data.to_csv(results).encode()
        if corpus.has_devices:
            contents[f"devices{corpus.file_ending}.csv"] = data.devices_csv(results).encode()
        misclassified = data.misclassified_csv(results)
        contents[f"misclassified{corpus.file_ending}.csv"] = misclassified.encode()
        contents[f"table{corpus.file_ending}.tex"] = renderers.latex(corpus.results).encode()
    for picture in report.pictures:
        contents |= picture.files
    contents["report.md"] = renderers.markdown(report).encode()
    contents["report.html"] = renderers.html(report).encode()
    contents["summary.txt"] = renderers.summary(report).encode()
    paths = {name: Path(out_dir, name) for name in contents}
    earlier = _claim(Path(out_dir), set(contents))
    if json_file:
        content = data.to_json(corpora, found_versions, found_machines)
        contents["json"] = content.encode()
        paths["json"] = Path(json_file)
    for name, content in contents.items():
        _write(paths[name], content)
    _remove_earlier(Path(out_dir), earlier, set(contents) - {"json"})
    return paths


def _write(path: Path, content: bytes) -> None:
    """Writes a file as a whole. A link stays one, and a device or a pipe takes the content."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    # Otherwise the link would be replaced, and the file that it leads to would stay as it was.
    with files.writing(os.path.realpath(path)) as temporary:
        temporary.write_bytes(content)


def _claim(folder: Path, written: set[str]) -> set[str]:
    """Returns the names of the files of the earlier report in a folder.

    The files of both reports are recorded, so that a report that is stopped can be written again.

    Args:
      folder: The folder of both reports.
      written: Names of the files of this report.

    Raises:
      CrossaskError: One of these is there already, and is of no earlier report.
    """
    record = stored.read_record(folder / WRITTEN)
    earlier = set(record.get("files", []))
    # Earlier versions wrote no record, and it may be damaged.
    is_unrecorded = not record and (folder / "report.html").is_file()
    for name in sorted(written - earlier):
        if (folder / name).exists() and not is_unrecorded:
            raise CrossaskError(
                f"{folder / name} is there, and is of no report.",
                "Give another --out, or move the file.",
            )
    stored.write_json(folder / WRITTEN, {"files": sorted(earlier | written)})
    return earlier


def _remove_earlier(folder: Path, earlier: set[str], written: set[str]) -> None:
    """Removes files of the earlier report in a folder, which would be taken for some of this one.

    Args:
      folder: The folder of both reports.
      earlier: Names of the files of the earlier report.
      written: Names of the files of this report.
    """
    for name in earlier - written:
        # A list from elsewhere could lead out of the folder.
        files.remove(folder / Path(name).name)
    stored.write_json(folder / WRITTEN, {"files": sorted(written)})

"""From run folders to a report: tables (CSV), Markdown, pictures, and one self-contained HTML page. No TensorFlow."""

import re
from pathlib import Path

from crossask import runs
from crossask.report import collecting, markdown, page, plots, tables


def write_report(runs_root, out_dir, baseline: str = "FA", resamples: int = 2000) -> dict[str, Path]:
    """Reads every run below `runs_root` and writes the report to `out_dir`; the same runs give the same bytes.

    Args:
      runs_root: folder that holds <row>/fold<fold>/seed<seed>/, at any depth.
      out_dir: folder to write to, made if need be.
      baseline: the row (by its name, else the first of this system) that the others are compared with.
      resamples: draws of the bootstrap intervals.

    Returns:
      What was written: "report.html", "report.md", "table.csv" (of several corpora one each: "table_<corpus>.csv"),
      "confusion_<row>.png" and "curves_<row>.png", each with its path. Runs without predictions are listed as unfinished.

    Raises:
      DataError: no runs, none with predictions, a file missing or broken, or runs of one row that differ in their choices.
    """
    found = collecting.read_runs(runs_root)
    made = tables.make_tables(found, baseline, resamples)
    versions = tables.versions([run for run in found if run.predictions is not None])
    files, names, images = {}, {}, {}
    for table in made:
        files["table.csv" if len(made) == 1 else f"table_{_slug(table.title, files)}.csv"] = tables.to_csv(table).encode()
        for line in table.rows:
            slug = _slug(line.row.key, files)
            images[line.row.key] = plots.confusion_png(line, table.scope(line, "")), plots.curves_png(line, table.training_scope(line))
            names[line.row.key] = f"confusion_{slug}.png", f"curves_{slug}.png"
            files |= dict(zip(names[line.row.key], images[line.row.key], strict=True))
    files["report.md"] = markdown.markdown(made, versions, names).encode()
    files["report.html"] = page.page(made, versions, images).encode()
    paths = {}
    for name, content in files.items():
        paths[name] = Path(out_dir) / name
        with runs.writing(paths[name]) as temporary:
            temporary.write_bytes(content)
    return paths


def _slug(text: str, taken) -> str:
    """A file name from a row's folder; numbered where two would meet."""
    slug = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "row"
    number, wanted = 1, slug
    while any(name in taken for name in (f"confusion_{slug}.png", f"table_{slug}.csv")):
        number += 1
        slug = f"{wanted}_{number}"
    return slug

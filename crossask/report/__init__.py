"""From run folders to a report: tables (CSV), Markdown, pictures, and one self-contained HTML page. No TensorFlow."""

import re
from pathlib import Path

from crossask import files
from crossask.report import collecting, corpus_plots, figures, latex, markdown, page, plots, tables


def write_report(
    runs_root, out_dir, baseline: str = "FA", resamples: int = 2000, json_file=None
) -> dict[str, Path]:
    """Reads every run below `runs_root` and writes the report to `out_dir`; the same runs give the same bytes.

    Args:
      runs_root: folder that holds <row>/fold<fold>/seed<seed>/, at any depth.
      out_dir: folder to write to, made if need be.
      baseline: the row (by its name, else the first of this system) that the others are compared with.
      resamples: draws of the bootstrap intervals.
      json_file: where to write every figure as one JSON too; None writes none.

    Returns:
      What was written, name -> path: "report.html", "report.md", "table.csv", "table.tex", "scenes.png", "reliability.png" and, where
      open choices were moved, "choices.png" (of several corpora one each: "table_<corpus>.csv"), "confusion_<row>.png",
      "curves_<row>.png", and "json" where a `json_file` was asked for. Runs without predictions are listed as unfinished.

    Raises:
      DataError: no runs, none with predictions, a file missing or broken, or runs of one row that differ in their choices.
    """
    found = collecting.read_runs(runs_root)
    made = tables.make_tables(found, baseline, resamples)
    versions = tables.versions([run for run in found if run.predictions is not None])
    contents, names, images, overview_names, overviews = {}, {}, {}, {}, {}
    for table in made:
        end = "" if len(made) == 1 else f"_{_slug(table.title, contents)}"
        contents |= {
            f"table{end}.csv": figures.to_csv(table).encode(),
            f"table{end}.tex": latex.to_latex(table).encode(),
        }
        drawn = {
            "scenes": corpus_plots.scenes_png(table),
            "reliability": corpus_plots.reliability_png(table),
        }
        if table.study:
            drawn["choices"] = corpus_plots.choices_png(table)
        overviews[table.title] = drawn
        overview_names[table.title] = {name: f"{name}{end}.png" for name in drawn}
        contents |= {f"{name}{end}.png": picture for name, picture in drawn.items()}
        for line in table.rows:
            slug = _slug(line.row.key, contents)
            images[line.row.key] = (
                plots.confusion_png(line, table.scope(line, "")),
                plots.curves_png(line, table.training_scope(line)),
            )
            names[line.row.key] = f"confusion_{slug}.png", f"curves_{slug}.png"
            contents |= dict(zip(names[line.row.key], images[line.row.key], strict=True))
    contents["report.md"] = markdown.markdown(made, versions, names, overview_names).encode()
    contents["report.html"] = page.page(made, versions, images, overviews).encode()
    paths = {name: Path(out_dir) / name for name in contents}
    if json_file:
        contents["json"], paths["json"] = figures.to_json(made, versions).encode(), Path(json_file)
    for name, content in contents.items():
        with files.writing(paths[name]) as temporary:
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

"""The report as Markdown: the same figures as the page, for a repository or a terminal."""

from crossask.report import sections, words
from crossask.report.rows import differing_choices, folds_text
from crossask.report.sections import Grid
from crossask.report.tables import CorpusTable


def markdown(tables, versions: dict, pictures: dict, overviews: dict) -> str:
    """`pictures`: row key -> (confusion, curves), `overviews`: corpus title -> scenes, reliability and perhaps choices by
    name; all are files beside the report."""
    parts = ["# Results\n"]
    for table in tables:
        parts += _corpus(table, pictures, overviews[table.title])
    parts += [
        "## Errata of the paper\n",
        *[f"- {_text(text)}" for text in sections.errata(tables)],
        "",
    ]
    parts.append("## How to read this\n")
    parts += [f"- **{term}** {text}" for term, text in words.HOW_TO_READ]
    parts.append("\n## Versions\n")
    parts += [f"- {name} {', '.join(found)}" for name, found in versions.items()] or [
        "- not recorded"
    ]
    return "\n".join(parts) + "\n"


def _corpus(table: CorpusTable, pictures: dict, overview: dict[str, str]) -> list[str]:
    base = table.baseline.title if table.baseline else "baseline"
    confidence = f"{100 * table.rows[0].summary['interval']['confidence']:.0f} %"
    parts = [
        f"## {_text(table.title)}\n",
        f"**{_text(table.conclusion)}**\n",
        f"Evaluation: {_text(table.scope())}.\n",
    ]
    folds = any(line.fold_means for line in table.rows)
    header = [
        "Row",
        "Runs",
        "Validation",
        "Evaluation",
        f"{confidence} interval",
        *["Mean of folds"] * folds,
        "Seed deviation",
    ]
    header += [f"Against {base} (points)", "Verdict", "p adjusted", "Paper", "Parameters"]
    body = []
    for line in table.rows:
        cells = [
            line.title,
            f"{words.several(len(line.row.seeds), 'seed')}, {folds_text(line.row)}",
            words.percent(line.validation),
        ]
        cells += [
            words.percent(line.summary["macro_accuracy"]),
            words.span(line.summary["interval"]),
        ]
        cells += [words.percent(line.mean_of_folds)] * folds + [
            words.deviation(line.summary["seed_deviation"]),
            *_against(line),
        ]
        cells.append(words.p_value(line.adjusted_p))
        cells += [
            "–" if line.paper_percent is None else f"{line.paper_percent:.1f} %",
            words.count(line.parameters),
        ]
        body.append(cells)
    parts += [*_grid(header, body), ""]
    parts += [f"- {_text(note)}" for note in table.notes]
    for run in table.unfinished:
        parts.append(
            f"- Unfinished, in no figure: {_text(run.row)}, fold {run.fold}, seed {run.seed}."
        )
    for section in (sections.beside_paper, sections.claims, sections.controls, sections.study):
        parts += _section(section(table))
    if "choices" in overview:
        parts += [f"\n![What open choices move]({overview['choices']})"]
    parts += [f"\n### Accuracy by scene ({_text(table.scope(metric=''))}; per cent)\n"]
    parts += _grid(["Scene", "Clips", *[line.title for line in table.rows]], _by_scene(table))
    parts += [f"\n![Accuracy by scene]({overview['scenes']})"]
    if any(line.summary["cities"] for line in table.rows):
        parts += ["\n### Accuracy by city (per cent; macro over the scenes heard there)\n"]
        parts += _grid(["City", "Clips", *[line.title for line in table.rows]], _by_city(table))
    parts += [
        *_section(sections.beyond_accuracy(table)),
        f"\n![Reliability]({overview['reliability']})",
        *_section(sections.folds(table)),
    ]
    differing, common = differing_choices(table.rows)
    parts += ["\n### Choices in which the rows differ\n"]
    parts += _grid(
        ["Field", *[line.title for line in table.rows]],
        [[f, *[words.plain(v) for v in values]] for f, values in differing.items()],
    )
    parts += [
        "\nEqual in all rows: "
        + "; ".join(f"`{field}` {_text(words.plain(value))}" for field, value in common.items())
        + ".\n"
    ]
    parts += [*_section(sections.open_choices(table)), ""]
    for line in table.rows:
        confusion, curves = pictures[line.row.key]
        parts += [
            f"### {_text(line.title)}\n",
            f"![Confusion of {_text(line.title)}]({confusion})\n",
            f"![Learning curves of {_text(line.title)}]({curves})\n",
        ]
    return parts


def _section(section: Grid | None) -> list[str]:
    if section is None:
        return []
    lines = [f"\n### {_text(section.title)}\n", _text(section.intro)]
    lines += ["", *_grid(section.header, section.body)] if section.body else []
    return lines + (["", *[f"- {_text(note)}" for note in section.notes]] if section.notes else [])


def _against(line) -> tuple[str, str]:
    if line.difference is None:
        return ("–", line.difference_missing or "baseline")
    span = words.points_span(line.difference["interval"])
    return f"{words.points(line.difference['difference'])} ({span})", line.difference["verdict"]


def _by_scene(table: CorpusTable) -> list[list[str]]:
    rows = []
    for scene in table.rows[0].summary["scenes"]:
        found = [line.summary["per_class"].get(scene, {}) for line in table.rows]
        clips = sorted({entry.get("clips", 0) for entry in found})
        rows.append(
            [
                scene,
                ", ".join(map(str, clips)),
                *[words.percent(entry.get("accuracy")) for entry in found],
            ]
        )
    return rows


def _by_city(table: CorpusTable) -> list[list[str]]:
    rows = []
    for city in sorted({city for line in table.rows for city in line.summary["cities"]}):
        found = [line.summary["cities"].get(city, {}) for line in table.rows]
        clips = sorted({entry["clips"] for entry in found if entry})
        rows.append(
            [
                city,
                ", ".join(map(str, clips)),
                *[words.percent(entry.get("macro_accuracy")) for entry in found],
            ]
        )
    return rows


def _grid(header, rows) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_text(str(cell)) for cell in line) + " |" for line in lines]


def _text(text: str) -> str:
    """Names are the user's: none may end a cell, a line or open a tag."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

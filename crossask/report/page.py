"""The report as one self-contained HTML page: no script, no font, no picture and no link from elsewhere."""

from html import escape

from crossask.report import forest, sections, words
from crossask.report.page_parts import cards, choices, inline, shares
from crossask.report.rows import TableRow, folds_text
from crossask.report.style import STYLE
from crossask.report.tables import CorpusTable


def page(tables, versions: dict, pictures: dict, overviews: dict) -> str:
    """`pictures`: row key -> (confusion, curves), `overviews`: corpus title -> scenes, reliability and perhaps choices by
    name; all are PNG bytes."""
    title = "crossask: " + ", ".join(table.title for table in tables)
    corpora = "".join(_corpus(table, pictures, overviews[table.title]) for table in tables)
    errata = "".join(f"<li>{escape(text)}</li>" for text in sections.errata(tables))
    how = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>"
        for term, text in words.HOW_TO_READ
    )
    used = (
        ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items())
        or "not recorded"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        f'<h1>crossask results · <a href="#how">how to read this</a></h1>\n{corpora}'
        f'<h3>Errata of the paper</h3>\n<ul class="notes">{errata}</ul>\n'
        f'<h3 id="how">How to read this</h3>\n<dl class="how">{how}</dl>\n'
        f'<footer class="small">Made with {escape(used)}.</footer>\n</main></body></html>\n'
    )


def _corpus(table: CorpusTable, pictures: dict, overview: dict[str, bytes]) -> str:
    notes = [escape(note) for note in table.notes]
    notes += [
        f"Unfinished, in no figure: {escape(run.row)}, fold {escape(run.fold)}, seed {run.seed}."
        for run in table.unfinished
    ]
    parts = [
        f"<section>\n<h2>{escape(table.title)}</h2>",
        f'<p class="conclusion">{escape(table.conclusion)}</p>',
        _results(table),
        f'<ul class="notes">{"".join(f"<li>{note}</li>" for note in notes)}</ul>' if notes else "",
        cards(sections.beside_paper(table)),
        cards(sections.claims(table)),
        cards(sections.controls(table)),
        cards(sections.study(table)),
        _figure(f"what open choices move, {table.scope(metric='')}", overview["choices"])
        if "choices" in overview
        else "",
        "<h3>Accuracy by scene</h3>",
        shares(
            table,
            "Scene",
            [(scene, "per_class", scene) for scene in table.rows[0].summary["scenes"]],
            "accuracy",
        ),
        _figure(f"accuracy by scene, {table.scope(metric='')}", overview["scenes"]),
    ]
    cities = sorted({city for line in table.rows for city in line.summary["cities"]})
    if cities:
        parts += [
            "<h3>Accuracy by city</h3>",
            shares(table, "City", [(city, "cities", city) for city in cities], "macro_accuracy"),
        ]
    parts += [
        cards(sections.beyond_accuracy(table)),
        _figure(f"reliability diagram, {table.scope(metric='')}", overview["reliability"]),
    ]
    parts += [
        cards(sections.folds(table)),
        "<h3>Which scenes are taken for which, and how the rows learned</h3>",
    ]
    parts += [_pictures(table, line, *pictures[line.row.key]) for line in table.rows]
    parts += [
        "<h3>Choices</h3>",
        choices(table),
        cards(sections.open_choices(table)),
        "</section>\n",
    ]
    return "\n".join(part for part in parts if part)


def _results(table: CorpusTable) -> str:
    base = table.baseline.title if table.baseline else "the baseline"
    confidence = f"{100 * table.rows[0].summary['interval']['confidence']:.0f} %"
    intervals = [
        (line.summary["interval"]["low"], line.summary["interval"]["high"]) for line in table.rows
    ]
    differences = [
        (d["interval"]["low"], d["interval"]["high"])
        for d in (line.difference for line in table.rows)
        if d
    ]
    scaled, apart = (
        forest.scale(intervals),
        forest.scale(differences, zero=True) if differences else None,
    )
    body = "\n".join(_line(table, line, scaled, apart, base) for line in table.rows)
    paper = '<th scope="col" class="number extra">Paper</th>' if _any_paper(table) else ""
    chance = len(table.rows[0].summary["scenes"])
    return (
        f'<table class="results"><caption>Evaluation: {escape(table.scope())}; chance {100 / chance:.1f} %. '
        f"Bars are {confidence} intervals.</caption>\n"
        '<thead><tr><th scope="col">Row</th><th scope="col" class="number">Macro accuracy<br>evaluation fold</th>'
        f'<th scope="col" class="plot">{forest.axis(scaled)}</th><th scope="col" class="number">Against {escape(base)}<br>points</th>'
        f'<th scope="col" class="plot">{forest.axis(apart, zero=True) if apart else ""}</th>'
        '<th scope="col" class="number extra">Validation<br>part</th><th scope="col" class="number extra">Seed<br>deviation</th>'
        f"{paper}"
        f'<th scope="col" class="number extra">Parameters</th></tr></thead>\n<tbody>\n{body}\n</tbody></table>'
    )


def _any_paper(table: CorpusTable) -> bool:
    return any(line.paper_percent is not None for line in table.rows)


def _line(table: CorpusTable, line: TableRow, scaled, apart, base: str) -> str:
    score, interval, against = (
        line.summary["macro_accuracy"],
        line.summary["interval"],
        line.difference,
    )
    runs = f"{words.several(len(line.row.seeds), 'seed')}, {folds_text(line.row)}"
    kind = "base" if line is table.baseline else "plain"
    evaluation = forest.bar(
        interval["low"],
        score,
        interval["high"],
        scaled,
        kind,
        f"{line.title}: {words.percent(score)}, interval {words.span(interval)}, {table.scope(line)}",
    )
    if against:
        apart_by, verdict = against["interval"], against["verdict"]
        kind = verdict.replace(" ", "-")
        spread = words.points_span(apart_by)
        number = f'<td class="big"><span class="label">against {escape(base)}, points</span>{words.points(against["difference"])}'
        number += (
            f'<span class="under">{spread}</span><span class="verdict {kind}">{verdict}</span>'
        )
        number += (
            f'<span class="under">p adjusted {escape(words.p_value(line.adjusted_p))}</span></td>'
        )
        label = f"{line.title} against {base}: {words.points(against['difference'])} points, interval {spread}: {verdict}"
        drawn = forest.bar(
            apart_by["low"], against["difference"], apart_by["high"], apart, kind, label, zero=True
        )
        difference = f'{number}<td class="plot">{drawn}<div class="pocket">{forest.axis(apart, zero=True)}</div></td>'
    else:
        why = "baseline" if line is table.baseline else line.difference_missing
        difference = f'<td class="plot" colspan="2"><span class="verdict">{escape(why)}</span></td>'
    name = f"<strong>{escape(line.title)}</strong><span>{escape(line.row.name)} · {escape(runs)}</span>"
    mean = (
        f'<span class="under">mean of folds {words.percent(line.mean_of_folds)}</span>'
        if line.fold_means
        else ""
    )
    cells = [
        ("validation part", words.percent(line.validation)),
        ("seed deviation", words.deviation(line.summary["seed_deviation"])),
    ]
    if _any_paper(table):
        cells.append(
            ("paper", "–" if line.paper_percent is None else f"{line.paper_percent:.1f} %")
        )
    cells.append(("parameters", words.count(line.parameters)))
    extra = "".join(
        _extra(name, text, line.trainable_parameters if name == "parameters" else None)
        for name, text in cells
    )
    return (
        f'<tr><th scope="row" class="name">{name}</th>'
        f'<td class="big"><span class="label">macro accuracy</span>{words.percent(score)}'
        f'<span class="under">{words.span(interval)}</span>{mean}</td>'
        f'<td class="plot">{evaluation}<div class="pocket">{forest.axis(scaled)}</div></td>{difference}{extra}</tr>'
    )


def _extra(name: str, text: str, trainable: int | None) -> str:
    under = (
        "" if trainable is None else f'<span class="under"> {words.count(trainable)} trained</span>'
    )
    return f'<td class="number extra{" none" if text == "–" else ""}"><span class="label">{name} </span>{text}{under}</td>'


def _figure(what: str, picture: bytes) -> str:
    return f'<figure class="wide"><img alt="{escape(what)}" src="{inline(picture)}"></figure>'


def _pictures(table: CorpusTable, line: TableRow, confusion: bytes, curves: bytes) -> str:
    evaluation = f"confusion matrix, {table.scope(line, '')}"
    drawn = ((evaluation, confusion), (f"learning curves, {table.training_scope(line)}", curves))
    figures = "".join(
        f'<figure><img alt="{escape(line.title)}: {escape(what)}" src="{inline(picture)}"></figure>'
        for what, picture in drawn
    )
    return f'<p class="small"><strong>{escape(line.title)}</strong></p><div class="pictures">{figures}</div>'

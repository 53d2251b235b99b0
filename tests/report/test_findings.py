"""Our rows beside the paper's, and its claims tested on our runs.

The paper's figures are as printed, ours worked by hand.
"""

import itertools
import math
import re

import pytest
from report.made_up_runs import write_run, write_two_seeds

from crossask import config
from crossask.config import reference
from crossask.report import difference_sections, findings, paper, write_report
from crossask.report.corpus import make_results
from crossask.report.runs import flatten, read_runs

RESAMPLES = 200

# Table 3 as it is printed: TUT 2017, TAU 2019.
PRINTED = """
Baseline             78.4 62.5
FA                   81.7 66.5
VEM  from_scratch    -    -
VEM  feature_based   72.1 57.3
VEM  fine_tuning     -    -
JRM  from_scratch    83.0 67.2
JRM  feature_based   83.7 63.4
JRM  fine_tuning     83.2 66.8
CMAM from_scratch    83.2 65.1
CMAM feature_based   85.8 68.8
CMAM fine_tuning     83.1 65.3
"""


def whole_corpus(root, name, hits, system, strategy="from_scratch", paper_score=None, fields=None):
    """Writes two seeds of 4,680 clips of a corpus tut2017: 2 scenes x 585 places x 4 clips."""
    fields = {"folds": ("1",), **(fields or {})}
    if paper_score is not None:
        fields["paper_score"] = paper_score
    write_two_seeds(root, name, hits, system, strategy, "tut2017", places=585, fields=fields)


def results_of(root, resamples=RESAMPLES, baseline="FA"):
    (results,) = make_results(read_runs(root), baseline, resamples)
    return results


def differences_of(results):
    """Returns the difference of each tested claim."""
    return [results.comparisons.between(one.first, one.second) for one in results.claims]


def names_of(claims):
    return [(tested.first.name, tested.second.name) for tested in claims]


@pytest.mark.parametrize(
    ("column", "corpus", "baseline"), [(0, "tut2017", "DCASE2017"), (1, "tau2019", "DCASE2019")]
)
def test_table_3_is_copied_without_a_mistake(column, corpus, baseline):
    expected = {}
    for line in PRINTED.strip().splitlines():
        *names, tut, tau = line.split()
        score = (tut, tau)[column]
        system = baseline if names[0] == "Baseline" else names[0]
        strategy = names[1] if len(names) > 1 else ""
        expected[system, strategy] = None if score == "-" else float(score)
    assert list(paper.TABLE_3[corpus].items()) == list(expected.items())


def test_the_figures_of_the_errata_are_correct():
    def kernels(channels):
        return sum(9 * before * after for before, after in itertools.pairwise(channels))

    text = " ".join(erratum.text for erratum in paper.ERRATA)
    fa = kernels([2, 64, 128, 256, 512])
    branch = kernels([1, 64, 128, 256, 512, 1024, 1024, 2048])
    attention = 2 * 4 * 2048**2
    for figure in (
        f"{fa:,}",
        f"{branch:,}",
        f"{attention:,}",
        f"{fa / 2**20:.3f}",
        f"{branch / 2**20:.2f}",
        f"{attention / 2**20:.2f}",
    ):
        assert figure in text
    for left, right in ((68.8, 62.5), (85.8, 78.4)):
        assert f"{left} / {right} = {left / right:.3f}" in text
    assert f"{100 * (85.8 / 74.8 - 1):.1f} % more" in text
    official = paper.OFFICIAL["tut2017"]
    assert sum(official.folds) / 4 == pytest.approx(official.percent, abs=0.05)


def test_an_erratum_names_the_data_of_vggish_and_is_shown_without_scores():
    (erratum,) = [erratum for erratum in paper.ERRATA if "YouTube-8M" in erratum.text]
    assert "AudioSet" in erratum.text
    assert not erratum.quotes_scores


def test_every_cell_of_table_3_is_beside_our_row(tmp_path):
    whole_corpus(tmp_path, "base", (3, 3), "DCASE2017", paper_score=78.4)
    whole_corpus(tmp_path, "fa", (3, 3), "FA", paper_score=75.0)
    whole_corpus(tmp_path, "vem", (3, 2), "VEM", "feature_based", paper_score=72.1)
    # Without a score of the paper it is not the paper's row.
    whole_corpus(tmp_path, "control", (4, 4), "CMAM", "feature_based")
    cells = results_of(tmp_path, resamples=5).cells
    assert [cell.title for cell in cells][:6] == [
        "DCASE 2017 baseline",
        "FA",
        "VEM from scratch",
        "VEM feature-based",
        "VEM fine-tuning",
        "JRM from scratch",
    ]
    assert len(cells) == 11
    base, fa, vem_scratch, vem, *_ = cells
    # All locations and both seeds are alike, so the interval has no width and only the number
    # itself agrees.
    assert base.agreement.difference == pytest.approx(0.75 - 0.784)
    assert (base.agreement.verdict, base.agreement.half_width) == ("differs", 0)
    assert base.official_agreement.difference == pytest.approx(0.75 - 0.748)
    assert (fa.agreement.verdict, fa.agreement.difference) == ("agrees", 0)
    assert (vem_scratch.row, vem_scratch.missing, vem_scratch.paper_percent) == (
        None,
        "blank",
        None,
    )
    assert vem.agreement.difference == pytest.approx(0.625 - 0.721)
    cmam = next(cell for cell in cells if cell.title == "CMAM feature-based")
    assert (cmam.row, cmam.paper_percent) == (None, 85.8)
    text = write_report(tmp_path, tmp_path / "out", resamples=5)["report.md"].read_text()
    assert (
        "| DCASE 2017 baseline, official | 75.0 | – | 0.0 "
        "| 74.8 (folds 75.2, 75.3, 77.3, 71.3) | +0.2 | differs |"
    ) in text
    assert "| VEM from scratch | not run | – | – |  |  |  |" in text
    assert "FA differs from the paper's row: paper_score is 75.0, but Table 3 has 81.7." in text


def test_a_row_that_departs_from_table_2_is_reported(tmp_path):
    fields = {"model.attention_heads": 4, "model.pooling_dim": 128}
    whole_corpus(tmp_path, "cmam", (3, 3), "CMAM", "feature_based", 85.8, fields)
    text = write_report(tmp_path, tmp_path / "out", resamples=5)["report.md"].read_text()
    assert (
        "CMAM feature-based differs from the paper's row: model.pooling_dim is 128 instead of "
        "1024; model.attention_heads is 4 instead of 8"
    ) in text


def test_another_reading_of_the_paper_is_no_departure(tmp_path):
    fields = {"features.log_mel.hop_seconds": 0.015}
    whole_corpus(tmp_path, "fa", (3, 3), "FA", paper_score=81.7, fields=fields)
    assert findings.contradictions("tut2017", results_of(tmp_path, resamples=5).rows) == []


@pytest.mark.parametrize("corpus", ["tut2017", "soundscapes"])
def test_a_rehearsal_shows_no_score_of_the_paper_anywhere(tmp_path, corpus):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3), "FA", corpus=corpus, fields={"paper_score": 81.7})
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based", corpus, fields={"paper_score": 85.8})
    paths = write_report(
        root, tmp_path / "out", resamples=RESAMPLES, json_file=tmp_path / "out" / "all.json"
    )
    texts = []
    for path in paths.values():
        if path.suffix in (".html", ".md", ".csv", ".tex", ".txt", ".json"):
            texts.append(re.sub(r"base64,[^\"]+", "", path.read_text()))
    # The configuration of a run is shown as it is.
    shown = re.sub(r"paper_score.{0,80}", "", "".join(texts))
    for score in ("81.7", "85.8", "78.4", "74.8", "68.8", "+4.1", "0.817", "0.858"):
        assert score not in shown, score
    assert ("they are for all 4680 clips" in shown) == (corpus == "tut2017")
    # Errata of Table 2 quote no score.
    assert "32.00 x 2^20" in shown


def write_rows_of_claims(root, corpus):
    write_two_seeds(root, "fa", (2, 3), corpus=corpus)
    write_two_seeds(root, "scratch", (2, 3), "CMAM", "from_scratch", corpus)
    write_two_seeds(root, "frozen", (4, 3), "CMAM", "feature_based", corpus)
    write_two_seeds(root, "vem", (1, 3), "VEM", "feature_based", corpus)


def test_a_report_on_own_recordings_does_not_mention_the_paper(tmp_path):
    write_rows_of_claims(tmp_path / "runs", "folder")
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    for name in ("report.html", "report.md", "table.tex", "summary.txt"):
        assert "paper" not in paths[name].read_text().lower(), name
    (results,) = make_results(read_runs(tmp_path / "runs"), resamples=RESAMPLES)
    pairs = difference_sections.other_pairs(results)
    # All five comparisons are shown: three in the table of results, and these two.
    assert [line[:2] for line in pairs.lines] == [
        ("CMAM feature-based against VEM feature-based", "+37.5"),
        ("CMAM feature-based against CMAM from scratch", "+25.0"),
    ]
    assert "over 5 comparisons" in pairs.intro


def test_claims_are_paired_differences_with_holms_p_over_all_comparisons(tmp_path):
    root = tmp_path / "runs"
    write_rows_of_claims(root, "soundscapes")
    results = results_of(root)
    # Three rows against FA, and frozen CMAM against the two others. Two of the claims are already
    # among them.
    assert results.comparisons.count == 5
    # The first three are the claim that frozen CMAM is the best of all.
    assert names_of(results.claims) == [
        ("frozen", "fa"),
        ("frozen", "vem"),
        ("frozen", "scratch"),
        ("frozen", "scratch"),
        ("vem", "fa"),
    ]
    differences = differences_of(results)
    assert [one.comparison.difference for one in differences] == pytest.approx(
        [0.25, 0.375, 0.25, 0.25, -0.125]
    )
    # All locations and both seeds are alike, so every difference is certain; equal rows have 1.
    assert [one.comparison.p_value for one in differences] == [0] * 5
    assert [one.adjusted_p for one in differences] == [0] * 5
    assert [one.verdict for one in differences] == ["better"] * 4 + ["worse"]
    adjusted = {row.name: results.against_baseline(row).adjusted_p for row in results.rows}
    assert adjusted == {"fa": None, "scratch": 1, "frozen": 0, "vem": 0}
    assert all(tested.paper_difference is None for tested in results.claims)
    text = write_report(root, tmp_path / "out", resamples=RESAMPLES)["report.md"].read_text()
    assert "over 5 comparisons" in text
    assert (
        "“CMAM with a frozen event model is the best of all” is shown for the rows run here."
        in text
    )


@pytest.mark.parametrize(
    ("jrm", "sentence"),
    [
        ((3, 3), "is shown for the rows run here. CMAM feature-based is better than 2 of 2"),
        ((4, 3), "is not shown. CMAM feature-based is better than 1 of 2 other rows"),
        ((4, 4), "is refuted: JRM feature-based did better. CMAM feature-based is better than 1"),
    ],
)
def test_the_best_of_all_is_better_than_each_other_row(tmp_path, jrm, sentence):
    write_two_seeds(tmp_path, "fa", (2, 3))
    write_two_seeds(tmp_path, "frozen", (4, 3), "CMAM", "feature_based")
    write_two_seeds(tmp_path, "jrm", jrm, "JRM", "feature_based")
    results = results_of(tmp_path)
    assert sentence in findings.verdict_on_best(results.claims, results.comparisons)


def test_one_seed_has_figures_and_no_verdict(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    write_run(tmp_path, "frozen", (4, 3), "CMAM", "feature_based")
    results = results_of(tmp_path)
    assert results.comparisons.count == 0
    (difference,) = differences_of(results)
    assert difference.comparison.difference == pytest.approx(0.25)
    assert (difference.verdict, difference.adjusted_p) == ("one seed", None)
    sentence = findings.verdict_on_best(results.claims, results.comparisons)
    assert sentence.endswith("has no verdict, because some of the rows have one seed.")
    assert results.conclusion.endswith(
        "CMAM feature-based scores 25.0 points higher than FA. This does not show which of them is "
        "better: at least one of them has a single seed, and how much another training would "
        "change the difference is unknown."
    )
    assert any("A row with one seed therefore has no verdict" in note for note in results.notes)


def test_of_many_rows_of_a_cell_the_one_with_the_plain_name_tests_a_claim(tmp_path):
    named = tmp_path / "named"
    for name in ("variant", "cmam_feature_based", "zeta"):
        write_run(named, name, (4, 3), "CMAM", "feature_based")
    write_run(named, "student", (2, 3))
    assert names_of(results_of(named).claims) == [("cmam_feature_based", "student")]
    unnamed = tmp_path / "unnamed"
    for name in ("variant", "zeta"):
        write_run(unnamed, name, (4, 3), "CMAM", "feature_based")
    write_run(unnamed, "fa", (2, 3))
    assert results_of(unnamed).claims == ()


def test_the_same_pair_in_both_orders_is_one_comparison(tmp_path):
    write_two_seeds(tmp_path, "fa", (2, 3))
    write_two_seeds(tmp_path, "frozen", (4, 3), "CMAM", "feature_based")
    results = results_of(tmp_path, baseline="frozen")
    assert results.comparisons.count == 1
    against_baseline = results.against_baseline(results.rows[0])
    assert against_baseline.comparison.difference == pytest.approx(-0.25)
    assert against_baseline.verdict == "worse"
    (difference,) = differences_of(results)
    assert difference.comparison.difference == pytest.approx(0.25)
    assert difference.verdict == "better"
    interval = difference.comparison.interval
    assert (interval.low, interval.high) == pytest.approx((0.25, 0.25))


def test_the_papers_differences_are_beside_ours_of_the_same_clips(tmp_path):
    whole_corpus(tmp_path, "fa", (3, 3), "FA", paper_score=81.7)
    whole_corpus(tmp_path, "frozen", (4, 3), "CMAM", "feature_based", 85.8)
    results = results_of(tmp_path)
    (tested,) = results.claims
    assert tested.paper_difference == pytest.approx(0.041)
    (difference,) = differences_of(results)
    assert difference.comparison.difference == pytest.approx(0.125)


def test_open_choices_show_the_values_of_the_rows_that_they_concern(tmp_path):
    corpus = "soundscapes"
    write_run(tmp_path, "fa", (3, 3), corpus=corpus, fields={"training.learning_rate": 1e-3})
    fields = {"model.attention_dropout": 0.2}
    write_run(tmp_path, "cmam", (3, 3), "CMAM", "feature_based", corpus, fields=fields)
    # The choices of a baseline are not open.
    fields = {"training.learning_rate": 0.5}
    write_run(tmp_path, "base", (3, 3), "DCASE2017", corpus=corpus, fields=fields)
    text = write_report(tmp_path, tmp_path / "out", resamples=RESAMPLES)["report.md"].read_text()
    text = text[text.index("### What the paper leaves open") :]
    assert "| training.learning_rate | 0.001 (FA); 0.0003 (CMAM feature-based) |" in text
    assert "| model.attention_dropout | 0.2 |" in text
    assert "vem_pools" not in text


def test_open_choices_are_in_the_order_of_the_schema(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    paths = [choice.path for choice in findings.open_choices(results_of(tmp_path).rows)]
    expected = []
    for entry in reference.open_choices():
        if "FA" in entry.facts.systems:
            expected.append(entry.path)
    assert paths == expected


def test_every_field_is_open_or_stated_or_describes_the_row():
    fields = flatten(config.to_dict(config.Experiment("row")))
    entries = [*reference.open_choices(), *reference.stated_choices()]
    assert set(fields) - {entry.path for entry in entries} == {
        "name",
        "system",
        "strategy",
        "dataset",
        "folds",
        "paper_score",
        "note",
        "event_model.weights",
        # They have an effect only with a teacher, which is stated.
        "distillation.weight",
        "distillation.temperature",
    }


@pytest.mark.parametrize(
    "fields",
    [{"event_control": "other_clip"}, {"event_model.weights": ""}, {"event_model.pad_end": True}],
)
def test_a_row_with_other_events_is_not_the_papers(tmp_path, fields, monkeypatch):
    # Configurations are checked before their system is known.
    monkeypatch.setattr(config.Experiment, "event_input", "embedding")
    changed = next(iter(fields))
    fields = {"event_model.weights": "https://tfhub.dev/google/vggish/1"} | fields
    whole_corpus(tmp_path, "cmam", (3, 3), "CMAM", "feature_based", 85.8, fields=fields)
    (note,) = findings.contradictions("tut2017", results_of(tmp_path, resamples=5).rows)
    assert f"{changed} is" in note


def test_table_2_as_it_is_stated_is_the_default_configuration():
    stated = {entry.path: entry.default for entry in reference.stated_choices()}
    expected = {
        "features.clip_seconds": 10.0,
        "features.log_mel.window_seconds": 0.025,
        "features.log_mel.mel_bins": 64,
        "event_model.name": "vggish",
        "model.encoder_channels": (64, 128, 256, 512),
        "model.encoder_pools": ((2, 2),) * 4,
        "model.event_encoder_channels": (64, 128, 256, 512, 1024, 1024, 2048),
        "model.event_encoder_pools": ((2, 2), (2, 2), *((1, 2),) * 5),
        "model.pooling_heads": 4,
        "model.pooling_dim": 1024,
        "model.attention_heads": 8,
        "model.attention_dim": 2048,
        "fine_tuning.event_rate": 1.0,
    }
    for path, value in expected.items():
        is_number = isinstance(value, float)
        assert math.isclose(stated[path], value) if is_number else stated[path] == value, path

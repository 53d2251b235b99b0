"""Measures how well the table of events that stand out in each scene recovers the truth.

  python benchmarks/scene_events_recovery.py RUN [--json=OUT.json]
  python benchmarks/scene_events_recovery.py --audioset=FOLDER --pca=vggish_pca_params.npz

RUN is a run on soundscapes with a frozen event model that has a head. The true rate of an event in
a scene is the share of the scene's clips in which it happens, by the corpus's events.csv. The true
difference is this rate minus the mean rate of the other scenes. The event model has seen no clip of
this corpus, so all clips can be used as well as those of the evaluation fold.

With --audioset the head of the published VGGish is evaluated on AudioSet's evaluation set (see
audioset_embeddings.py for the folder). Its scenes are the five labels of places, in clips with
exactly one of them, and the truth is the other labels of these clips.

Several rankings of the events of a scene by their scores are compared:

  cohens_h      Cohen's h of the mean score here and elsewhere (`crossask.evaluation.events`)
  lower_end     lower end of the 95 % interval of Cohen's h
  difference    the mean score minus the mean score elsewhere
  log_ratio     logarithm of the ratio of the two
  standardised  the difference divided by the deviation over locations within the scenes
  auc           area under the ROC curve of the locations of the scene against all others

and these figures are computed, each a mean over the scenes:

  spearman            Spearman's correlation of the ranking with the true differences
  top_3               share of the first three events that are among the three with the largest true
                      differences
  top_3_more_frequent share of the first three events that are truly more frequent in the scene: the
                      true difference is larger than 1.96 of its standard errors

The intervals are the value +- 1.96 standard deviations over draws of locations (clips for
AudioSet). Truth and scores have the same locations in each draw. Percentiles would be too low: a
draw has fewer different locations, and so more noise, than the corpus. `below` is the figure of
Cohen's h minus that of the ranking.

In a corpus unlike that of its training, a head predicts some events too often and others too
rarely. Each part is therefore computed again with the odds of each event multiplied by exp(b),
where b has a standard deviation of 1 over the events ("biased": mean over 20 draws of b, and its
interval over these draws).

The figures for soundscapes are in docs/results.md. Those for AudioSet (1,162 clips, 522 events):

  ranking      | spearman | top_3 | top_3_more_frequent | the same figures, biased
  cohens_h     |     0.51 |  0.53 |   0.73 (0.55, 0.91) | 0.49 | 0.33 | 0.56
  lower_end    |     0.52 |  0.40 |   0.60 (0.42, 0.78) | 0.50 | 0.30 | 0.53
  difference   |     0.52 |  0.67 |   0.73 (0.56, 0.91) | 0.48 | 0.42 | 0.56
  log_ratio    |     0.48 |  0.07 |   0.40 (0.25, 0.55) | 0.48 | 0.05 | 0.43
  standardised |     0.45 |  0.27 |   0.33 (0.16, 0.51) | 0.45 | 0.24 | 0.32
  auc          |     0.35 |  0.20 |   0.33 (0.17, 0.49) | 0.35 | 0.20 | 0.33

The standardised difference is as good as Cohen's h for the 25 events of the soundscapes, all of
which happen. Most of AudioSet's hundreds of events never happen in a corpus. Their scores follow
the sound of a scene, too, as a small but regular shift, which effects in units of the deviation
count fully. The plain difference is as good as Cohen's h where the head was trained, and worse on
soundscapes with a bias of each event.
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm, rankdata, spearmanr

from crossask import files
from crossask.evaluation import events

RESAMPLES = 1000
CONFIDENCE = 0.95
TOP = 3
CHOSEN = "cohens_h"
DECIMALS = 4
BIAS_DEVIATION = 1.0
BIAS_DRAWS = 20
EXTREME_SCORES = (1e-9, 1 - 1e-9)  # A score of 0 or 1 has no finite odds.
PLACES = ("Inside, ", "Outside, ")
QUANTILE = float(norm.ppf((1 + CONFIDENCE) / 2))


@dataclasses.dataclass(frozen=True)
class Units:
    """Values of the events at the locations of a corpus.

    Attributes:
      values: Scores or true rates, [units, events].
      clips: Number of clips of each location, [units].
      scene: Index of the scene of each location, [units].
    """

    values: np.ndarray
    clips: np.ndarray
    scene: np.ndarray

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> "Units":
        """Returns the values of a table of event scores."""
        _, scene = np.unique(table["truth"].to_numpy(str), return_inverse=True)
        values = table.drop(columns=list(events.UNIT_COLUMNS)).to_numpy(float)
        return cls(values, table["clips"].to_numpy(float), scene)

    def drawn(self, units: np.ndarray) -> "Units":
        """Returns the values of some locations, each as often as it occurs in `units`."""
        return Units(self.values[units], self.clips[units], self.scene[units])

    def means(self) -> np.ndarray:
        """Returns the means over the clips of each scene, [scenes, events]."""
        means = []
        for scene in range(self.scene.max() + 1):
            of_scene = self.scene == scene
            means.append(np.average(self.values[of_scene], axis=0, weights=self.clips[of_scene]))
        return np.stack(means)

    def variances(self) -> np.ndarray:
        """Returns the variances over the locations within each scene, [scenes, events]."""
        scenes = range(self.scene.max() + 1)
        return np.stack([self.values[self.scene == scene].var(axis=0, ddof=1) for scene in scenes])

    def standard_errors(self) -> np.ndarray:
        """Returns the standard errors of the means minus those elsewhere, [scenes, events]."""
        counts = np.bincount(self.scene)[:, np.newaxis]
        of_means = self.variances() / counts
        others = len(counts) - 1
        return np.sqrt(of_means + (of_means.sum(axis=0) - of_means) / others**2)


Ranking = Callable[[Units], np.ndarray]


def cohens_h(scores: Units) -> np.ndarray:
    """Returns Cohen's h of each event in each scene, [scenes, events]."""
    means = scores.means()
    return events.cohens_h(means, events.means_elsewhere(means))


def lower_end(scores: Units) -> np.ndarray:
    """Returns the lower end of the interval of Cohen's h, from the deviation over locations."""
    zero = np.zeros_like(scores.values)
    angles = dataclasses.replace(scores, values=events.cohens_h(scores.values, zero))
    return cohens_h(scores) - QUANTILE * angles.standard_errors()


def difference(scores: Units) -> np.ndarray:
    """Returns the mean score minus the mean score elsewhere."""
    means = scores.means()
    return means - events.means_elsewhere(means)


def log_ratio(scores: Units) -> np.ndarray:
    """Returns the logarithm of the mean score divided by the mean score elsewhere."""
    means = scores.means()
    return np.log(means / events.means_elsewhere(means))


def standardised(scores: Units) -> np.ndarray:
    """Returns the difference divided by the deviation over locations within the scenes."""
    return difference(scores) / np.sqrt(scores.variances().mean(axis=0))


def auc(scores: Units) -> np.ndarray:
    """Returns the area under the ROC curve of a scene's locations against all others."""
    ranks = rankdata(scores.values, axis=0)
    areas = []
    for scene in range(scores.scene.max() + 1):
        of_scene = scores.scene == scene
        count = of_scene.sum()
        pairs = count * (len(of_scene) - count)
        areas.append((ranks[of_scene].sum(axis=0) - count * (count + 1) / 2) / pairs)
    return np.stack(areas)


RANKINGS: dict[str, Ranking] = {
    CHOSEN: cohens_h,
    "lower_end": lower_end,
    "difference": difference,
    "log_ratio": log_ratio,
    "standardised": standardised,
    "auc": auc,
}


def recovery(true: pd.DataFrame, scored: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Returns ranking -> figure -> its value, interval, and distance from Cohen's h.

    Args:
      true: A table of event scores with the true rates.
      scored: The table of the same locations with the scores, its events in the same order.
    """
    rates = Units.from_table(true)
    scores = Units.from_table(scored)
    whole = figures_of_all(rates, scores)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(RESAMPLES):
        units = _draw(rates.scene, rng)
        draws.append(figures_of_all(rates.drawn(units), scores.drawn(units)))
    return _with_intervals(whole, draws, 1)


def recovery_with_bias(true: pd.DataFrame, scored: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Returns what `recovery` returns, for scores with a random bias of each event.

    See the top of this file. The values are means over draws of the bias, and the intervals those
    of the means.
    """
    rates = Units.from_table(true)
    scores = Units.from_table(scored)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(BIAS_DRAWS):
        bias = rng.normal(0, BIAS_DEVIATION, scores.values.shape[1])
        values = expit(logit(np.clip(scores.values, *EXTREME_SCORES)) + bias)
        draws.append(figures_of_all(rates, dataclasses.replace(scores, values=values)))
    means: dict[str, dict[str, float]] = {}
    for ranking in RANKINGS:
        means[ranking] = {}
        for figure in draws[0][ranking]:
            means[ranking][figure] = float(np.mean([draw[ranking][figure] for draw in draws]))
    return _with_intervals(means, draws, BIAS_DRAWS)


def first_events(true: pd.DataFrame, scored: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Returns scene -> its first events by Cohen's h and by truth, and their true rates."""
    scenes = sorted(set(true["truth"]))
    names = [name for name in true.columns if name not in events.UNIT_COLUMNS]
    rates = Units.from_table(true).means()
    true_differences = rates - events.means_elsewhere(rates)
    effects = cohens_h(Units.from_table(scored))
    found = {}
    for number, scene in enumerate(scenes):
        by_scores = np.argsort(-effects[number], kind="stable")[:TOP]
        by_truth = np.argsort(-true_differences[number], kind="stable")[:TOP]
        found[scene] = {
            "by_scores": [names[event] for event in by_scores],
            "by_truth": [names[event] for event in by_truth],
            "true_differences": true_differences[number][by_scores].round(DECIMALS).tolist(),
        }
    return found


def soundscapes_tables(run_dir: str) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Returns part of the clips -> table of the true rates and table of the scores.

    Args:
      run_dir: Folder of a run on soundscapes.
    """
    from crossask.cli import shared_flags
    from crossask.datasets import read_corpus
    from crossask.events.tagger import read_tagger
    from crossask.features.cache import prepare_features
    from crossask.training import event_scores, run_folder

    (run,) = run_folder.find_runs(run_dir)
    experiment = run.experiment()
    paths = run.read("config.json")["paths"]
    corpus = read_corpus(experiment.dataset, paths["data_dir"])
    features_dir = shared_flags.features_dir(paths["data_dir"], paths.get("features_dir", ""))
    cache = prepare_features(corpus, experiment, features_dir)
    tagger = read_tagger(experiment.event_model)
    if tagger is None:
        raise SystemExit(
            f"The event model of {run_dir} has no head. Give a run whose weights contain one."
        )
    all_clips = [clip.id for clip in corpus.clips]
    scores = event_scores.clip_scores(tagger, cache, all_clips)
    happens = true_events(Path(paths["data_dir"]), all_clips, scores.columns)
    tables = {}
    for part, clip_ids in (("all", all_clips), ("evaluation", corpus.fold(run.fold).evaluation)):
        selected = list(clip_ids)
        tables[part] = (
            event_scores.by_location(corpus, happens.loc[selected]),
            event_scores.by_location(corpus, scores.loc[selected]),
        )
    return tables


def audioset_tables(folder: Path, pca: Path) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Returns what `soundscapes_tables` returns, for the places of AudioSet's evaluation set.

    Args:
      folder: Folder of the published embeddings.
      pca: VGGish's published PCA.
    """
    from audioset_embeddings import EVALUATION, read_clips
    from vggish_event_head import mean_over_patches

    from crossask.events import manifest
    from crossask.events.tagger import read_tags

    tagger = read_tags(manifest.path().with_name("vggish_tags.npz"))
    clips = read_clips(folder / EVALUATION, pca, len(tagger.names))
    places = [name for name in tagger.names if name.startswith(PLACES)]
    labels = pd.DataFrame(clips.labels, columns=list(tagger.names))
    has_one_place = (labels[places].sum(axis=1) == 1).to_numpy()
    labels = labels[has_one_place].reset_index(drop=True)
    part = clips.part(has_one_place)
    means = mean_over_patches(tagger(part.embeddings), part.has_patch).numpy()
    scores = pd.DataFrame(means, columns=list(tagger.names))
    units = pd.DataFrame({"truth": labels[places].idxmax(axis=1), "location": "", "clips": 1})
    others = [name for name in tagger.names if name not in places]
    true = pd.concat([units, labels[others]], axis=1)
    return {"places": (true, pd.concat([units, scores[others]], axis=1))}


def print_table(part: str, found: dict[str, dict[str, Any]]) -> None:
    """Prints the figures of one part of the clips."""
    figures = list(found[CHOSEN])
    print(f"| {part} | {' | '.join(figures)} |")
    print("| --- |" + " --- |" * len(figures))
    for ranking, entries in found.items():
        cells = []
        for entry in entries.values():
            cells.append(f"{entry['value']:.2f} ({entry['low']:.2f} to {entry['high']:.2f})")
        print(f"| {ranking} | {' | '.join(cells)} |")
    print()


def main() -> None:
    """Reads the command line, prints the tables and optionally writes them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", help="folder of a run on soundscapes")
    parser.add_argument("--audioset", type=Path, help="folder of AudioSet's embeddings")
    parser.add_argument("--pca", type=Path, help="VGGish's published PCA, with --audioset")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    if arguments.run:
        is_valid = arguments.audioset is None and arguments.pca is None
    else:
        is_valid = arguments.audioset is not None and arguments.pca is not None
    if not is_valid:
        parser.error("give RUN, or --audioset and --pca")
    if arguments.run:
        tables = soundscapes_tables(arguments.run)
    else:
        tables = audioset_tables(arguments.audioset, arguments.pca)
    content: dict[str, Any] = {"confidence": CONFIDENCE, "resamples": RESAMPLES, "parts": {}}
    for part, (true, scored) in tables.items():
        found = recovery(true, scored)
        biased = recovery_with_bias(true, scored)
        print_table(part, found)
        print_table(f"{part}, biased", biased)
        content["parts"][part] = {
            "clips": int(true["clips"].sum()),
            "locations": len(true) if events.has_locations(true) else None,
            "events": len(true.columns) - len(events.UNIT_COLUMNS),
            "rankings": found,
            "biased": biased,
            "scenes": first_events(true, scored),
        }
    if arguments.json:
        files.write_json(arguments.json, content)


def figures_of_all(rates: Units, scores: Units) -> dict[str, dict[str, float]]:
    """Returns ranking -> its figures."""
    true_rates = rates.means()
    true = true_rates - events.means_elsewhere(true_rates)
    errors = rates.standard_errors()
    is_more_frequent = true > QUANTILE * errors
    found = {}
    for name, rank in RANKINGS.items():
        found[name] = _figures(true, is_more_frequent, rank(scores))
    return found


def _figures(
    true: np.ndarray, is_more_frequent: np.ndarray, effects: np.ndarray
) -> dict[str, float]:
    """Returns the figures of one ranking.

    Args:
      true: True differences, [scenes, events].
      is_more_frequent: Whether an event is truly more frequent in a scene, [scenes, events].
      effects: The values by which the events of a scene are ranked, [scenes, events].
    """
    correlations = []
    hits = []
    more_frequent = []
    for scene in range(len(true)):
        # An event that never happens and has no score has no rank.
        is_ranked = np.isfinite(effects[scene])
        correlations.append(spearmanr(effects[scene][is_ranked], true[scene][is_ranked])[0])
        order = np.argsort(-np.nan_to_num(effects[scene], nan=-np.inf), kind="stable")
        first = order[:TOP]
        first_by_truth = np.argsort(-true[scene], kind="stable")[:TOP]
        hits.append(np.isin(first, first_by_truth).mean())
        more_frequent.append(is_more_frequent[scene][first].mean())
    return {
        "spearman": float(np.mean(correlations)),
        "top_3": float(np.mean(hits)),
        "top_3_more_frequent": float(np.mean(more_frequent)),
    }


def _draw(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the numbers of drawn locations; of n locations of a scene, n - 1 (`intervals`)."""
    drawn = []
    for number in range(scene.max() + 1):
        units = np.flatnonzero(scene == number)
        drawn.append(rng.choice(units, max(len(units) - 1, 1)))
    return np.concatenate(drawn)


def _with_intervals(
    values: dict[str, dict[str, float]], draws: Sequence[dict[str, dict[str, float]]], count: int
) -> dict[str, dict[str, Any]]:
    """Returns ranking -> figure -> its value, interval, and distance from Cohen's h.

    Args:
      values: Ranking -> figure -> value.
      draws: The same in each draw.
      count: Number of draws of which a value is the mean.
    """
    found: dict[str, dict[str, Any]] = {}
    for ranking in RANKINGS:
        found[ranking] = {}
        for figure, value in values[ranking].items():
            drawn = np.array([draw[ranking][figure] for draw in draws])
            entry: dict[str, Any] = _interval(value, drawn, count)
            if ranking != CHOSEN:
                below = values[CHOSEN][figure] - value
                drawn_chosen = np.array([draw[CHOSEN][figure] for draw in draws])
                entry["below"] = _interval(below, drawn_chosen - drawn, count)
            found[ranking][figure] = entry
    return found


def _interval(value: float, drawn: np.ndarray, count: int) -> dict[str, float]:
    half_width = QUANTILE * float(drawn.std()) / count**0.5
    return {
        "value": round(value, DECIMALS),
        "low": round(max(value - half_width, -1.0), DECIMALS),
        "high": round(min(value + half_width, 1.0), DECIMALS),
    }


def true_events(data_dir: Path, clip_ids: Sequence[str], kinds: Sequence[str]) -> pd.DataFrame:
    """Returns for each clip whether each kind of event happens in it, 0 or 1."""
    table = pd.read_csv(data_dir / "events.csv", sep="\t")
    happens = pd.DataFrame(0.0, index=list(clip_ids), columns=list(kinds))
    names = {Path(clip_id).stem: clip_id for clip_id in clip_ids}
    for file, kind in zip(table["filename"], table["event_label"], strict=True):
        clip_id = names.get(Path(file).stem)
        if clip_id is not None:
            happens.loc[clip_id, kind] = 1.0
    return happens


if __name__ == "__main__":
    main()

"""Trains the scene head of the starter model, and tests it on recordings of another source.

  python benchmarks/starter_model.py RECORDINGS.csv --weights=YAMNET --out=crossask/serving/starter

RECORDINGS.csv has the columns filename, scene, location, licence and source. Recordings with a
licence of `FREE` are trained on. Those of another collection (`OTHER_SOURCE`) are tested on.

The head is linear in m, the mean of YAMNet's embeddings over a clip:

  score_c = learned_c(m) / deviation of `learned` + PRIOR_WEIGHT prior_c(m) / deviation of `prior`

`learned` is a logistic regression with a strong penalty. `prior` needs no recording of a scene: it
is the mean over the scene's events in `EVENTS` of YAMNet's own logits, standardised over the
training clips. Penalty, weight of the prior and level were chosen, and temperature and the least
probability of a sure prediction are fitted, by leaving out one location of the training recordings
at a time: macro accuracy 72 to 75 % of the recordings at their own level, 57 to 65 % at -26 dBFS.
"""

import argparse
import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from crossask import events, files
from crossask.audio import clip_features
from crossask.config import EventModelConfig, FeatureConfig
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap
from crossask.events.tagger import Tagger, read_tagger

FREE = ("CC0-1.0", "CC-BY-4.0", "see SOUNDS_LICENSING.md (CC0/CC BY/PD)")
OTHER_SOURCE = ("Pixabay or CC0 (repo README)",)
CLIP_SECONDS = 10
# The recordings are read at their own level.
LEVEL_DBFS = None
# Inverse of the penalty of the logistic regression.
INVERSE_PENALTY = 3e-4
PRIOR_WEIGHT = 1.5
# A prediction is sure if its probability reaches a threshold. The threshold is the lowest one at
# which this share of the sure predictions is right.
SURE_ACCURACY = 0.8
# The events of each scene, by what the words mean.
EVENTS = {
    "beach_sea": ("Ocean", "Waves, surf"),
    "cafe_restaurant": (
        "Chatter",
        "Dishes, pots, and pans",
        "Hubbub, speech noise, speech babble",
        "Cutlery, silverware",
        "Inside, public space",
    ),
    "city_street": (
        "Traffic noise, roadway noise",
        "Car passing by",
        "Outside, urban or manmade",
        "Car",
    ),
    "forest_birds": ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"),
    "night_insects": ("Cricket", "Insect", "Frog", "Croak"),
    "quiet_indoor": (
        "Inside, small room",
        "Clock",
        "Tick-tock",
        "Typing",
        "Inside, large room or hall",
        "Air conditioning",
        "Mechanical fan",
    ),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "stream_river": ("Stream", "Waterfall", "Gurgling"),
    "train_metro": (
        "Train",
        "Rail transport",
        "Subway, metro, underground",
        "Railroad car, train wagon",
        "Clickety-clack",
    ),
    "vehicle_cabin": (
        "Bus",
        "Aircraft",
        "Fixed-wing aircraft, airplane",
        "Jet engine",
        "Idling",
        "Engine",
        "Motor vehicle (road)",
    ),
}
SCENES = tuple(sorted(EVENTS))


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips of recordings.

    Attributes:
      embeddings: Mean of YAMNet's embeddings over each clip [clips, 1024].
      scenes: Number of the scene of each clip [clips].
      recordings: File name of each clip's recording [clips].
      locations: Location of each clip [clips].
    """

    embeddings: np.ndarray
    scenes: np.ndarray
    recordings: np.ndarray
    locations: np.ndarray

    def part(self, selected: np.ndarray) -> "Clips":
        """Returns the selected clips."""
        return Clips(
            self.embeddings[selected],
            self.scenes[selected],
            self.recordings[selected],
            self.locations[selected],
        )

    def weights(self) -> np.ndarray:
        """Returns weights by which scenes count the same, and recordings within a scene."""
        weights = np.zeros(len(self.scenes))
        for scene in np.unique(self.scenes):
            names = np.unique(self.recordings[self.scenes == scene])
            for name in names:
                clips = self.recordings == name
                weights[clips] = 1 / (len(names) * clips.sum())
        return weights * len(weights) / weights.sum()


@dataclasses.dataclass(frozen=True)
class Head:
    """A linear layer from the mean embedding of a clip to scores of scenes.

    Attributes:
      kernel: Weights [1024, scenes].
      bias: Biases [scenes].
    """

    kernel: np.ndarray
    bias: np.ndarray

    def scores(self, clips: Clips) -> np.ndarray:
        """Returns the scores of the scenes [clips, scenes]."""
        return clips.embeddings @ self.kernel + self.bias

    def scaled(self, clips: Clips, factor: float = 1.0) -> "Head":
        """Returns the head whose scores have mean 0 over scenes and a deviation over `clips`.

        Args:
          clips: Clips over which the deviation is computed.
          factor: The deviation.
        """
        kernel = self.kernel - self.kernel.mean(axis=1, keepdims=True)
        bias = self.bias - self.bias.mean()
        scale = factor / Head(kernel, bias).scores(clips).std()
        return Head(kernel * scale, bias * scale)


def read_clips(table: Path, weights: str, licences: Sequence[str]) -> Clips:
    """Returns the clips of the recordings with some licences.

    Args:
      table: CSV of the recordings.
      weights: YAMNet, see `EventModelConfig.weights`.
      licences: The licences.
    """
    config = EventModelConfig(name="yamnet", weights=weights, level=LEVEL_DBFS)
    event_model = events.build(config)
    found: dict[str, list[Any]] = {
        "embeddings": [],
        "scenes": [],
        "recordings": [],
        "locations": [],
    }
    with open(table, newline="", encoding="utf-8") as file:
        recordings = list(csv.DictReader(file))
    for recording in recordings:
        if recording["licence"] not in licences:
            continue
        waveform, rate = soundfile.read(table.parent / recording["filename"], always_2d=True)
        length = CLIP_SECONDS * rate
        for start in range(0, len(waveform) - length + 1, length):
            clip = waveform[np.newaxis, start : start + length].astype(np.float32)
            features = FeatureConfig(sample_rate_hz=rate, clip_seconds=CLIP_SECONDS)
            patches = clip_features.event_patches(clip, rate, features, config)
            found["embeddings"].append(tf.reduce_mean(event_model(patches)[0], axis=0).numpy())
            found["scenes"].append(SCENES.index(recording["scene"]))
            found["recordings"].append(recording["filename"])
            found["locations"].append(recording["location"])
    return Clips(**{name: np.array(values) for name, values in found.items()})


def train(clips: Clips, tagger: Tagger) -> Head:
    """Returns the head, see the top of this file; its scores have no temperature yet."""
    learned = learned_head(clips).scaled(clips)
    prior = prior_head(clips, tagger).scaled(clips, PRIOR_WEIGHT)
    return Head(learned.kernel + prior.kernel, learned.bias + prior.bias)


def learned_head(clips: Clips) -> Head:
    """Returns the logistic regression of standardised mean embeddings."""
    mean = clips.embeddings.mean(axis=0)
    deviation = clips.embeddings.std(axis=0)
    # A dimension that hardly changes in these clips may change in others.
    deviation = np.maximum(deviation, deviation.mean())
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
    standardised = (clips.embeddings - mean) / deviation
    regression.fit(standardised, clips.scenes, sample_weight=clips.weights())
    # Scenes that are left out with their only location get the least score of any scene.
    kernel = np.zeros((len(mean), len(SCENES)))
    bias = np.full(len(SCENES), regression.intercept_.min())
    kernel[:, regression.classes_] = regression.coef_.T / deviation[:, np.newaxis]
    bias[regression.classes_] = regression.intercept_ - mean @ kernel[:, regression.classes_]
    return Head(kernel, bias)


def prior_head(clips: Clips, tagger: Tagger) -> Head:
    """Returns the means of the standardised logits of each scene's events."""
    all_kernels = tagger.kernel.numpy()
    all_biases = tagger.bias.numpy()
    logits = clips.embeddings @ all_kernels + all_biases  # [clips, events]
    mean = logits.mean(axis=0)
    deviation = logits.std(axis=0)
    kernels = []
    biases = []
    for scene in SCENES:
        numbers = [tagger.names.index(name) for name in EVENTS[scene]]
        kernels.append((all_kernels[:, numbers] / deviation[numbers]).mean(axis=1))
        biases.append(((all_biases - mean)[numbers] / deviation[numbers]).mean())
    return Head(np.stack(kernels, axis=1), np.array(biases))


def left_out_scores(clips: Clips, tagger: Tagger) -> np.ndarray:
    """Returns the scores of each clip by a head that was trained without its location."""
    scores = np.zeros((len(clips.scenes), len(SCENES)))
    for location in np.unique(clips.locations):
        is_left_out = clips.locations == location
        head = train(clips.part(~is_left_out), tagger)
        scores[is_left_out] = head.scores(clips.part(is_left_out))
    return scores


def by_recording(clips: Clips, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the scene of each recording [n], and its mean probabilities [n, scenes]."""
    truth = []
    means = []
    for name in np.unique(clips.recordings):
        selected = clips.recordings == name
        truth.append(clips.scenes[selected][0])
        means.append(probabilities[selected].mean(axis=0))
    return np.array(truth), np.array(means)


def fit_temperature(clips: Clips, scores: np.ndarray) -> float:
    """Returns the temperature with the least cross-entropy."""

    def loss(log_temperature: float) -> float:
        logs = log_softmax(scores / np.exp(log_temperature), axis=1)
        chosen = logs[np.arange(len(scores)), clips.scenes]
        return float(-np.average(chosen, weights=clips.weights()))

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def least_sure(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the lowest probability from which on `SURE_ACCURACY` of the predictions are right."""
    top = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == truth
    for threshold in np.sort(top):
        if is_right[top >= threshold].mean() >= SURE_ACCURACY:
            return float(threshold)
    return float(top.max())


def figures(truth: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, Any]:
    """Returns macro accuracy with its 95 % interval, and the accuracy of sure predictions.

    Args:
      truth: Index of the scene of each recording, [n].
      probabilities: Mean probabilities of each recording, [n, scenes].
      threshold: Least probability of a sure prediction.
    """
    is_right = (probabilities.argmax(axis=1) == truth).astype(float)
    is_sure = probabilities.max(axis=1) >= threshold
    bootstrap = Bootstrap()
    draws = intervals.class_accuracies(
        is_right[:, np.newaxis], truth, np.arange(len(truth)), len(SCENES), bootstrap
    )  # [resamples, scenes, 1]
    macro_draws = np.nanmean(draws[..., 0], axis=1)
    accuracies = []
    by_scene = {}
    for scene in np.unique(truth):
        own = is_right[truth == scene]
        accuracies.append(own.mean())
        by_scene[SCENES[scene]] = {"recordings": len(own), "right": int(own.sum())}
    return {
        "recordings": len(truth),
        "macro_accuracy": float(np.mean(accuracies)),
        "interval": list(intervals.percentiles(macro_draws, bootstrap.confidence)),
        "accuracy": float(is_right.mean()),
        "by_scene": by_scene,
        "share_not_sure": float(1 - is_sure.mean()),
        "accuracy_of_sure": float(is_right[is_sure].mean()) if is_sure.any() else None,
    }


def credits_of(table: Path, clips: Clips) -> list[dict[str, str]]:
    """Returns name, licence and source of each recording that has some of the clips."""
    with open(table, newline="", encoding="utf-8") as file:
        recordings = list(csv.DictReader(file))
    # A recording that is shorter than a clip has none.
    names = set(clips.recordings)
    found = []
    for recording in recordings:
        if recording["filename"] not in names:
            continue
        found.append({name: recording[name] for name in ("filename", "licence", "source")})
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, trains, tests, and writes the head and its facts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path, help="CSV of the recordings")
    parser.add_argument("--weights", required=True, help="YAMNet: TF-Hub handle, folder or .npz")
    parser.add_argument("--out", type=Path, required=True, help="path without .npz and .json")
    given = parser.parse_args(arguments)
    tagger = read_tagger(EventModelConfig(name="yamnet", weights=given.weights))
    training = read_clips(given.recordings, given.weights, FREE)
    scores = left_out_scores(training, tagger)
    temperature = fit_temperature(training, scores)
    truth, probabilities = by_recording(training, softmax(scores / temperature, axis=1))
    threshold = least_sure(truth, probabilities)
    head = train(training, tagger)
    test = read_clips(given.recordings, given.weights, OTHER_SOURCE)
    test_probabilities = softmax(head.scores(test) / temperature, axis=1)
    facts = {
        "scenes": list(SCENES),
        "level_dbfs": LEVEL_DBFS,
        "least_probability": threshold,
        "left_out_locations": figures(truth, probabilities, threshold),
        "other_source": figures(*by_recording(test, test_probabilities), threshold),
        "trained_on": credits_of(given.recordings, training),
    }
    print(json.dumps({**facts, "trained_on": len(facts["trained_on"])}, indent=2))
    with files.writing(given.out.with_suffix(".npz")) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            kernel=(head.kernel / temperature).astype(np.float32),
            bias=(head.bias / temperature).astype(np.float32),
        )
    files.write_json(given.out.with_suffix(".json"), facts)


if __name__ == "__main__":
    main()

r"""Trains the head that predicts AudioSet's 527 events from VGGish's published embeddings.

  python benchmarks/vggish_event_head.py AUDIOSET --pca=vggish_pca_params.npz \
      --out=vggish_assets/vggish_tags.npz

AUDIOSET is a folder with the published embeddings of AudioSet, see audioset_embeddings.py, which
also brings them back to VGGish's last layer after a ReLU, in which all embedding taps can be
expressed. Labels are those of a clip: they are compared with the mean over its patches
of the scores, or of the logits. Which mean, the learning rate and the number of epochs are chosen
by the mAP on a tenth of the balanced training set; then the head is trained on all of it. The
evaluation set is used for the printed figures of the written file alone.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from audioset_embeddings import CLASS_MAP, EVALUATION, TRAINING, Clips, read_clips
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from crossask import files
from crossask.events.tagger import Tagger, read_class_map, read_tags

POOLINGS = ("scores", "logits")
LEARNING_RATES = (1e-3, 3e-3)
MOST_EPOCHS = 60
EPOCHS_BETWEEN_CHECKS = 5
BATCH_SIZE = 256
VALIDATION_SHARE = 0.1
# Before training, each event has the probability of a rare event.
FIRST_BIAS = -5.3


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is chosen by validation.

    Attributes:
      pooling: What is averaged over the patches: "scores" or "logits".
      learning_rate: Learning rate of Adam.
      epochs: Number of epochs.
    """

    pooling: str
    learning_rate: float
    epochs: int


class Head:
    """A head in training, on standardised embeddings."""

    def __init__(self, training: Clips, choice: Choice):
        """Creates the variables.

        Args:
          training: Clips whose mean and deviation standardise the embeddings.
          choice: How to train.
        """
        keras.utils.set_random_seed(0)
        is_patch = training.has_patch > 0
        self.mean = training.embeddings[is_patch].mean(axis=0)
        self.deviation = training.embeddings[is_patch].std(axis=0) + 1e-3
        events = training.labels.shape[1]
        self.kernel = tf.Variable(tf.zeros([training.embeddings.shape[2], events]))
        self.bias = tf.Variable(tf.fill([events], FIRST_BIAS))
        self.pooling = choice.pooling
        self.optimizer = keras.optimizers.Adam(choice.learning_rate)
        self.step = tf.function(self._step)

    def train_epoch(self, training: Clips, epoch: int) -> None:
        """Trains on all clips once, in an order that depends on the epoch."""
        order = np.random.default_rng(epoch).permutation(len(training.labels))
        for start in range(0, len(order), BATCH_SIZE):
            batch = training.part(order[start : start + BATCH_SIZE])
            self.step(batch.embeddings, batch.has_patch, batch.labels)

    def scores(self, embeddings: tf.Tensor, has_patch: tf.Tensor) -> tf.Tensor:
        """Returns the scores of clips, [clips, events]."""
        standardised = (embeddings - self.mean) / self.deviation
        logits = tf.tensordot(standardised, self.kernel, 1) + self.bias  # [clips, patches, events]
        if self.pooling == "logits":
            return tf.sigmoid(mean_over_patches(logits, has_patch))
        return mean_over_patches(tf.sigmoid(logits), has_patch)

    def tagger(self, names: list[str]) -> Tagger:
        """Returns the head for embeddings that are not standardised."""
        kernel = self.kernel.numpy() / self.deviation[:, np.newaxis]
        return Tagger(names, kernel, self.bias.numpy() - self.mean @ kernel)

    def _step(self, embeddings: tf.Tensor, has_patch: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            scores = self.scores(embeddings, has_patch)
            losses = keras.backend.binary_crossentropy(labels, scores)  # [clips, events]
            loss = tf.reduce_mean(tf.reduce_sum(losses, axis=1))
        variables = [self.kernel, self.bias]
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


def mean_over_patches(values: tf.Tensor, has_patch: tf.Tensor) -> tf.Tensor:
    """Returns the means of values [clips, patches, events] over the patches of each clip."""
    weights = has_patch / tf.reduce_sum(has_patch, axis=1, keepdims=True)
    return tf.reduce_sum(values * weights[..., tf.newaxis], axis=1)


def mean_average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Returns the mean over the events that have clips of the average precision."""
    has_clips = labels.any(axis=0)
    return float(average_precision_score(labels[:, has_clips], scores[:, has_clips]))


def choose(training: Clips) -> tuple[Choice, float]:
    """Returns the choice with the best mAP on a part of the training clips, and this mAP."""
    clips = len(training.labels)
    is_validation = np.random.default_rng(0).random(clips) < VALIDATION_SHARE
    fitted = training.part(~is_validation)
    validation = training.part(is_validation)
    found = {}
    for pooling in POOLINGS:
        for learning_rate in LEARNING_RATES:
            head = Head(fitted, Choice(pooling, learning_rate, MOST_EPOCHS))
            for epoch in range(1, MOST_EPOCHS + 1):
                head.train_epoch(fitted, epoch)
                if epoch % EPOCHS_BETWEEN_CHECKS:
                    continue
                scores = head.scores(validation.embeddings, validation.has_patch).numpy()
                choice = Choice(pooling, learning_rate, epoch)
                found[choice] = mean_average_precision(validation.labels, scores)
                print(f"{choice}: validation mAP {found[choice]:.4f}", flush=True)
    best = max(found, key=found.get)
    return best, found[best]


def evaluate(tagger: Tagger, clips: Clips) -> dict[str, float]:
    """Returns mAP, mean AUC and d-prime of the means of the scores over the patches of a clip."""
    batches = []
    for start in range(0, len(clips.labels), BATCH_SIZE):
        part = clips.part(np.arange(start, min(start + BATCH_SIZE, len(clips.labels))))
        batches.append(mean_over_patches(tagger(part.embeddings), part.has_patch).numpy())
    scores = np.concatenate(batches)
    has_clips = clips.labels.any(axis=0)
    area = float(roc_auc_score(clips.labels[:, has_clips], scores[:, has_clips]))
    return {
        "map": mean_average_precision(clips.labels, scores),
        "auc": area,
        "d_prime": float(np.sqrt(2) * norm.ppf(area)),
    }


def write(tagger: Tagger, path: Path) -> None:
    """Writes a head in half precision."""
    with files.writing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            names=np.array(tagger.names),
            kernel=tagger.kernel.numpy().astype(np.float16),
            bias=tagger.bias.numpy().astype(np.float16),
            exclusive=tagger.exclusive,
        )


def main() -> None:
    """Reads the command line, trains the head, and prints the figures of the written file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audioset", type=Path, help="folder of the published embeddings")
    parser.add_argument("--pca", type=Path, required=True, help="VGGish's published PCA")
    parser.add_argument("--out", type=Path, required=True, help="file of the head, .npz")
    arguments = parser.parse_args()
    names = read_class_map(arguments.audioset / CLASS_MAP)
    training = read_clips(arguments.audioset / TRAINING, arguments.pca, len(names))
    choice, validation_map = choose(training)
    head = Head(training, choice)
    for epoch in range(1, choice.epochs + 1):
        head.train_epoch(training, epoch)
    tagger = head.tagger(names)
    write(tagger, arguments.out)
    evaluation = read_clips(arguments.audioset / EVALUATION, arguments.pca, len(names))
    figures = {
        "choice": dataclasses.asdict(choice),
        "validation_map": validation_map,
        "evaluation_in_float32": evaluate(tagger, evaluation),
        "evaluation_of_the_file": evaluate(read_tags(arguments.out), evaluation),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

"""Training that can be killed at any moment and goes on to the same weights.

Model, optimiser and epoch stand in one checkpoint; every random choice (order of clips, dropout, initial weights) is a pure
function of (seed, epoch, step), so that there is nothing else to save.
"""

import csv
import dataclasses
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras as keras

from crossask import runs
from crossask.errors import CrossaskError


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept, and when training stops before its last epoch."""

    monitor: str  # a compiled metric; its highest validation value is the best (ties: the lowest validation loss)
    keep: str = "best"  # best | last
    keep_from: int = 1  # the first epoch that may be the best
    patience: int = 0  # epochs without a better one after which training stops; 0: never
    patience_from: int = 1  # the first epoch that counts for it

    def kept(self, history: list[dict]) -> dict:
        """The row of `history` whose weights are kept, of the epochs there are."""
        if self.keep == "last":
            return history[-1]
        eligible = [row for row in history if row["epoch"] >= self.keep_from] or history
        return max(eligible, key=lambda row: (row[f"val_{self.monitor}"], -row["val_loss"]))

    def stops(self, history: list[dict]) -> bool:
        """Whether the last `patience` epochs brought nothing better: a function of the history alone, so that it resumes."""
        values = [row[f"val_{self.monitor}"] for row in history if row["epoch"] >= self.patience_from]
        return bool(self.patience) and len(values) > self.patience and max(values[-self.patience :]) <= max(values[: -self.patience])


def fit(folder, name: str, model, batches, steps: int, epochs: int, validation, selection: Selection, metrics, progress=None) -> dict:
    """`Model.fit` of a compiled, built model, from where `folder` says it stopped.

    Args:
      folder: holds checkpoints/, best.npz, history.csv and logs/ (TensorBoard).
      name: what an error calls the run.
      batches: function(first epoch) -> an endless dataset that begins with that epoch.
      steps: batches an epoch.
      validation: a finite dataset.
      selection: the epoch to keep, and when to stop.
      metrics: names of the compiled metrics that the history holds; the first is told to `progress`.
      progress: called with (epochs done, epochs in all, loss and accuracy in words), first with those of an earlier call.

    Returns:
      {"epochs", "steps", "best_epoch", "validation_<metric>" for each, "validation_loss", "parameters",
      "trainable_parameters", "seconds"}; the epoch kept is "best_epoch", its weights stand in best.npz.

    Raises:
      CrossaskError: the loss is no longer a number.
    """
    state = _ResumableState(Path(folder), name, model, epochs, selection, metrics, progress)
    first_epoch = state.restore()
    if first_epoch < epochs and not selection.stops(state.history):
        model.fit(
            batches(first_epoch),
            epochs=epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[state, keras.callbacks.TensorBoard(str(Path(folder) / "logs"), write_graph=False)],
            verbose=0,
        )
    best = selection.kept(state.history)
    return {
        "epochs": len(state.history),
        "steps": steps * len(state.history),
        "best_epoch": int(best["epoch"]),
        **{f"validation_{metric}": best[f"val_{metric}"] for metric in metrics},
        "validation_loss": best["val_loss"],
        "parameters": int(sum(np.prod(v.shape) for v in model.weights)),
        "trainable_parameters": int(sum(np.prod(v.shape) for v in model.trainable_weights)),
        "seconds": round(sum(row["seconds"] for row in state.history), 1),
    }


def save_weights(path, model):
    """All weights of `model`, in its order, as one file."""
    with runs.writing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{f"{number:04d}": value for number, value in enumerate(model.get_weights())})


def load_weights(path, model):
    """Into a built model of the same configuration."""
    with np.load(path) as file:
        model.set_weights([file[f"{number:04d}"] for number in range(len(file.files))])


class _ResumableState(keras.callbacks.Callback):
    """Order at an epoch's end: best weights, history, checkpoint. A kill in between repeats the epoch, to the same bits."""

    def __init__(self, folder: Path, name: str, model, epochs: int, selection: Selection, metrics, progress):
        super().__init__()
        self.folder, self.name, self.network, self.epochs = folder, name, model, epochs
        self.measured = ["loss", *metrics, "val_loss", *(f"val_{metric}" for metric in metrics)]
        self.selection, self.metric, self.progress, self.history, self.started = selection, metrics[0], progress, [], 0.0
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, epoch=self.epoch)
        self.manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=1)

    def restore(self) -> int:
        """The epoch to go on with; 0 in a new folder."""
        if self.manager.latest_checkpoint:
            self.manager.checkpoint.restore(self.manager.latest_checkpoint).assert_existing_objects_matched()
            with open(self.folder / "history.csv", newline="") as file:
                rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
            self.history = rows[: int(self.epoch.numpy())]
        return len(self.history)

    def on_train_begin(self, logs=None):
        self._tell()

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise CrossaskError(
                f"The loss of {self.name} is {logs['loss']} in epoch {epoch + 1}.", "Lower the learning rate and train again."
            )
        measured = {name: float(logs[name]) for name in self.measured}
        rate = float(keras.backend.get_value(self.network.optimizer.learning_rate))
        self.history.append({"epoch": epoch + 1, **measured, "learning_rate": rate, "seconds": round(time.monotonic() - self.started, 3)})
        if self.selection.kept(self.history)["epoch"] == epoch + 1:
            save_weights(self.folder / "best.npz", self.network)
        with runs.writing(self.folder / "history.csv") as temporary:
            pd.DataFrame(self.history).to_csv(temporary, index=False)
        self.epoch.assign(epoch + 1)
        self.manager.save()
        if self.selection.stops(self.history):
            self.network.stop_training = True
        self._tell()

    def _tell(self):
        if self.progress:
            last = self.history[-1] if self.history else None
            note = f"loss {last['loss']:.3f}, validation {100 * last[f'val_{self.metric}']:.1f} %" if last else "starts"
            self.progress(len(self.history), self.epochs, note)

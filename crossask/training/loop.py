"""Training that can be killed at any moment and goes on to the same weights.

Model, optimiser, epoch, step and the epoch's running sums stand in one checkpoint; every random choice (order of clips, dropout,
initial weights) is a pure function of (seed, epoch, step), so that there is nothing else to save.

On several machines all of them run this with the same folder on a shared disk, and the first one writes it.
"""

import contextlib
import csv
import dataclasses
import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras as keras

from crossask import files
from crossask.errors import CrossaskError, Preempted
from crossask.training import devices

# what TensorFlow raises where a file cannot be written; its other errors are of machines that are lost, or ours
DISK_ERRORS = (
    tf.errors.ResourceExhaustedError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)


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
        values = [
            row[f"val_{self.monitor}"] for row in history if row["epoch"] >= self.patience_from
        ]
        return (
            bool(self.patience)
            and len(values) > self.patience
            and max(values[-self.patience :]) <= max(values[: -self.patience])
        )


@dataclasses.dataclass(frozen=True)
class Batches:
    """What a model learns from and is validated on."""

    training: Callable  # (first epoch, first step) -> an endless dataset that begins there
    steps: int  # batches an epoch
    validation: object  # a finite dataset, or with `validation_steps` a distributed one
    validation_steps: int | None = None


def fit(
    folder,
    name: str,
    model,
    batches: Batches,
    epochs: int,
    selection: Selection,
    metrics,
    progress=None,
    scalars=None,
    save_steps: int = 0,
) -> dict:
    """`Model.fit` of a compiled, built model, from where `folder` says it stopped.

    An optimiser with averages (`swap_averages`) is validated and kept with them.

    Args:
      folder: holds checkpoints/, best.npz, history.csv and logs/ (TensorBoard).
      name: what an error calls the run.
      batches: see there.
      selection: the epoch to keep, and when to stop.
      metrics: names of the compiled metrics that the history holds; the first is told to `progress`.
      progress: called with (epochs done, epochs in all, loss and accuracy in words), first with those of an earlier call.
      scalars: function() -> {name: number}, more for TensorBoard at each epoch's end, after validation.
      save_steps: a checkpoint after so many steps, too; 0: at the ends of epochs alone.

    Returns:
      {"epochs", "steps", "best_epoch", "validation_<metric>" for each, "validation_loss", "parameters",
      "trainable_parameters", "seconds"}; the epoch kept is "best_epoch", its weights stand in best.npz.

    Raises:
      CrossaskError: the loss is no longer a number; `folder` cannot be written, or its disk has no room; in between, what was
        saved before is kept.
      Preempted: SIGTERM came, and the run stands saved: within an epoch after its step, unless several machines train.
    """
    with _termination_noted() as terminated:
        state = _ResumableState(
            Path(folder),
            name,
            model,
            batches.steps,
            epochs,
            selection,
            metrics,
            progress,
            scalars,
            save_steps,
            terminated,
        )
        epoch, step = state.restore()
        if epoch < epochs and not selection.stops(state.history):
            logs = (
                [keras.callbacks.TensorBoard(str(Path(folder) / "logs"), write_graph=False)]
                if state.writes
                else []
            )
            # the rest of an epoch that was interrupted, then the others
            for first, last, done in (
                ((epoch, epoch + 1, step), (epoch + 1, epochs, 0))
                if step
                else ((epoch, epochs, 0),)
            ):
                if first < last and not model.stop_training:
                    model.fit(
                        batches.training(first, done),
                        epochs=last,
                        initial_epoch=first,
                        steps_per_epoch=batches.steps - done,
                        validation_data=batches.validation,
                        validation_steps=batches.validation_steps,
                        callbacks=[state, *logs],
                        verbose=0,
                    )
        if terminated.is_set():
            raise Preempted
    best = selection.kept(state.history)
    return {
        "epochs": len(state.history),
        "steps": batches.steps * len(state.history),
        "best_epoch": int(best["epoch"]),
        **{f"validation_{metric}": best[f"val_{metric}"] for metric in metrics},
        "validation_loss": best["val_loss"],
        "parameters": int(sum(np.prod(v.shape) for v in model.weights)),
        "trainable_parameters": int(sum(np.prod(v.shape) for v in model.trainable_weights)),
        "seconds": round(sum(row["seconds"] for row in state.history), 1),
    }


def save_weights(path, model):
    """All weights of `model`, in its order, as one file."""
    _write_arrays(path, model.get_weights())


def load_weights(path, model):
    """Into a built model of the same configuration."""
    with np.load(path) as file:
        model.set_weights([file[f"{number:04d}"] for number in range(len(file.files))])


def _write_arrays(path, values):
    with files.writing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{f"{number:04d}": value for number, value in enumerate(values)})


class _ResumableState(keras.callbacks.Callback):
    """Order at an epoch's end: best weights, history, checkpoint. A kill in between repeats the epoch, to the same bits."""

    def __init__(
        self,
        folder: Path,
        name: str,
        model,
        steps,
        epochs,
        selection,
        metrics,
        progress,
        scalars,
        save_steps,
        terminated,
    ):
        super().__init__()
        self._supports_tf_logs = True  # batches' logs are not read, so nothing waits for the device
        self.folder, self.name, self.network, self.steps, self.epochs = (
            folder,
            name,
            model,
            steps,
            epochs,
        )
        self.measured = ["loss", *metrics, "val_loss", *(f"val_{metric}" for metric in metrics)]
        self.selection, self.metric, self.progress, self.scalars = (
            selection,
            metrics[0],
            progress,
            scalars,
        )
        self.save_steps, self.terminated, self.history, self.started, self.before = (
            save_steps,
            terminated,
            [],
            0.0,
            0.0,
        )
        # every machine of several takes part in saving, because some variables are sums over machines; one of them keeps it
        self.writes = model.distribute_strategy.extended.should_checkpoint
        self.alone = devices.machines(model.distribute_strategy) == (0, 1)
        self.epoch, self.step = (tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))
        self.sums = _Sums()
        self.checkpoint = tf.train.Checkpoint(
            model=model, optimizer=model.optimizer, epoch=self.epoch, step=self.step, sums=self.sums
        )
        # made here: within a strategy's scope the machine that saves would wait for the others to make theirs
        self.checkpoint.save_counter  # noqa: B018
        self.manager = tf.train.CheckpointManager(
            self.checkpoint, str(folder / "checkpoints"), max_to_keep=1
        )

    def restore(self) -> tuple[int, int]:
        """The epoch to go on with and its steps that are done; (0, 0) in a new folder."""
        latest = self.manager.latest_checkpoint
        if self.writes:
            self._remove_parts()
            weights = sum(_bytes(v) for v in self.network.weights)
            checkpoint = weights + sum(_bytes(v) for v in self.network.optimizer.variables)
            # a checkpoint goes when its successor is there, and so do the best weights
            files.check_room(self.folder, (1 if latest else 2) * checkpoint + 2 * weights)
        if latest:
            self.checkpoint.restore(latest).assert_existing_objects_matched()
            if int(self.epoch):
                with open(self.folder / "history.csv", newline="") as file:
                    rows = [
                        {name: float(value) for name, value in row.items()}
                        for row in csv.DictReader(file)
                    ]
                self.history = [
                    row | {"epoch": int(row["epoch"])} for row in rows[: int(self.epoch)]
                ]
        return len(self.history), int(self.step.numpy())

    def on_train_begin(self, logs=None):
        self._tell()

    def on_epoch_begin(self, epoch, logs=None):
        self.started, self.first_step = time.monotonic(), int(self.step.numpy())
        self.before, self.means = self.sums.seconds, {}

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0 and self.first_step:
            self.sums.add_to(self.network)
            # if this is the epoch's last step, too, Keras has read the means already
            self.means = {metric.name: float(metric.result()) for metric in self.network.metrics}
        done = self.first_step + batch + 1
        if done == self.steps:
            return
        self.means = {}
        preempted = self.terminated.is_set()
        if preempted and not self.alone:
            raise Preempted  # the others know nothing of it, and a checkpoint needs all
        if preempted or (self.save_steps and done % self.save_steps == 0):
            self.step.assign(done)
            self.sums.take(self.network, self._seconds())
            self._save()
        if preempted:
            raise Preempted

    def on_test_begin(self, logs=None):
        self._swap_averages()

    def on_test_end(self, logs=None):
        self._swap_averages()

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.means)
        if not np.isfinite(logs["loss"]):
            raise CrossaskError(
                f"The loss of {self.name} is {logs['loss']} in epoch {epoch + 1}.",
                "Lower the learning rate and train again.",
            )
        measured = {name: float(logs[name]) for name in self.measured}
        rate = float(keras.backend.get_value(self.network.optimizer.learning_rate))
        self.history.append(
            {
                "epoch": epoch + 1,
                **measured,
                "learning_rate": rate,
                "seconds": round(self._seconds(), 3),
            }
        )
        logs.update(self.scalars() if self.scalars else {})
        best = self.selection.kept(self.history)["epoch"] == epoch + 1
        if best:
            self._swap_averages()
            weights = self.network.get_weights()
            self._swap_averages()
        self.epoch.assign(epoch + 1)
        self.step.assign(0)
        self.sums.clear()
        self._save(weights if best else None)
        if self.selection.stops(self.history):
            self.network.stop_training = True
        self._tell()
        if self.terminated.is_set():
            raise Preempted

    def _save(self, best_weights=None):
        if not self.writes:
            with tempfile.TemporaryDirectory() as elsewhere:
                self.checkpoint.write(str(Path(elsewhere) / "checkpoint"))
            return
        try:
            if best_weights is not None:
                _write_arrays(self.folder / "best.npz", best_weights)
            if self.history:
                with files.writing(self.folder / "history.csv") as temporary:
                    pd.DataFrame(self.history).to_csv(temporary, index=False)
            self.manager.save()
        except (OSError, *DISK_ERRORS) as error:
            self._remove_parts()
            raise CrossaskError(
                f"{self.name} cannot be saved in {self.folder}: {_first_line(error)}.",
                "Make room and run the same command again: it goes on from the last state that was saved.",
            ) from error

    def _remove_parts(self):
        """Removes what an interrupted save left beside the last whole checkpoint."""
        folder = self.folder / "checkpoints"
        whole = tf.train.latest_checkpoint(
            str(folder)
        )  # by what is written, not by what was about to be
        if whole is None and (folder / "checkpoint").is_file():
            return
        for path in folder.glob("ckpt-*"):
            if path.name.split(".")[0] != Path(whole or "").name:
                files.remove(path)

    def _swap_averages(self):
        optimizer = getattr(self.network.optimizer, "inner_optimizer", self.network.optimizer)
        if hasattr(optimizer, "swap_averages"):
            optimizer.swap_averages(self.network.trainable_variables)

    def _seconds(self) -> float:
        """Of the present epoch, those before an interruption too."""
        return self.before + time.monotonic() - self.started

    def _tell(self):
        if self.progress:
            last = self.history[-1] if self.history else None
            note = (
                f"loss {last['loss']:.3f}, validation {100 * last[f'val_{self.metric}']:.1f} %"
                if last
                else "starts"
            )
            self.progress(len(self.history), self.epochs, note)


class _Sums(tf.train.experimental.PythonState):
    """The sums behind an interrupted epoch's means (of loss and metrics), and the seconds it took."""

    def __init__(self):
        self.values, self.seconds = {}, 0.0

    def take(self, model, seconds: float):
        self.values, self.seconds = (
            {f"{m.name}/{v.name}": v.numpy().tolist() for m in model.metrics for v in m.variables},
            seconds,
        )

    def add_to(self, model):
        """After the first step: Keras makes the loss's mean only then. A sum does not mind the order of two terms."""
        for metric in model.metrics:
            for variable in metric.variables:
                variable.assign(
                    variable.numpy()
                    + np.asarray(
                        self.values[f"{metric.name}/{variable.name}"], variable.dtype.as_numpy_dtype
                    )
                )

    def clear(self):
        self.values, self.seconds = {}, 0.0

    def serialize(self):
        return json.dumps([self.values, self.seconds])

    def deserialize(self, string_value):
        self.values, self.seconds = json.loads(string_value)


@contextlib.contextmanager
def _termination_noted():
    """An event that SIGTERM sets, instead of ending the process; where signals cannot be caught it is never set."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: noted.set())
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)


def _bytes(variable) -> int:
    return int(np.prod(variable.shape)) * variable.dtype.size


def _first_line(error) -> str:
    return str(error).splitlines()[0].strip() if str(error).strip() else type(error).__name__

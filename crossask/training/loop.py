"""`Model.fit` that can be killed at any moment and goes on to the same weights.

One checkpoint contains the model, the optimiser, the epoch, the step and the sums behind the
epoch's metrics. Every random choice (order of clips, dropout, initial weights) is a pure function
of (seed, epoch, step), so nothing else needs to be saved.

With several machines, all of them call `fit` with the same folder on a shared disk, and the first
one writes it.
"""

import contextlib
import dataclasses
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras as keras
from google.protobuf.message import DecodeError

from crossask import files, stored, text_tables
from crossask.errors import CrossaskError, DataError, Preempted, first_line
from crossask.training import devices
from crossask.training.network_size import count_parameters
from crossask.training.optimizer import without_loss_scaling

# What TensorFlow raises if a file cannot be written. Its other errors are lost machines or bugs.
DISK_ERRORS = (
    tf.errors.ResourceExhaustedError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)

TRAIN_AGAIN = "Restore it from a copy, or remove the folder of its run and train again."
# What TensorFlow raises for a checkpoint that is damaged, or is one of another model.
BROKEN_CHECKPOINT = (
    tf.errors.OpError,
    AssertionError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
    DecodeError,
)
EpochRecord = dict[str, float]  # one line of history.csv
Progress = Callable[[int, int, str], None]
Scalars = Callable[[], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept, and when training stops before its last epoch.

    Attributes:
      monitor: A compiled metric. The epoch with the highest validation value is the best; the
        lowest validation loss decides between equal ones.
      keep: "best" or "last". Without validation data it must be "last".
      keep_from: First epoch that may be the best, from 1.
      patience: Epochs without an improvement after which training stops; 0 is never. Without
        validation data it must be 0.
      patience_from: First epoch that counts for `patience`.
    """

    monitor: str
    keep: str = "best"
    keep_from: int = 1
    patience: int = 0
    patience_from: int = 1

    def kept(self, history: Sequence[EpochRecord]) -> EpochRecord:
        """Returns the record of the epoch whose weights are kept, among those so far."""
        if self.keep == "last":
            return history[-1]
        eligible = [record for record in history if record["epoch"] >= self.keep_from]
        return max(eligible or history, key=self._rank)

    def stops(self, history: Sequence[EpochRecord]) -> bool:
        """Returns whether the last `patience` epochs brought no improvement.

        It depends on the history alone, so a resumed run stops at the same epoch.
        """
        if not self.patience:
            return False
        values = []
        for record in history:
            if record["epoch"] >= self.patience_from:
                values.append(record[f"val_{self.monitor}"])
        if len(values) <= self.patience:
            return False
        earlier = values[: -self.patience]
        latest = values[-self.patience :]
        return max(latest) <= max(earlier)

    def _rank(self, record: EpochRecord) -> tuple[float, float]:
        return record[f"val_{self.monitor}"], -record["val_loss"]


@dataclasses.dataclass(frozen=True)
class Batches:
    """The data that a model is trained and validated on.

    Attributes:
      training: Function(first epoch, first step) -> an endless dataset from there on.
      steps: Batches in an epoch.
      validation: A finite dataset, or a distributed one with `validation_steps`; None to train
        without validation.
      validation_steps: Batches of the validation data; None for a finite dataset.
      validation_mean_weight: Mean weight of the examples in the validation data; below 1 if
        examples of weight 0 fill the last batch.
    """

    training: Callable[[int, int], Any]
    steps: int
    validation: Any
    validation_steps: int | None = None
    validation_mean_weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a model is trained and what is recorded.

    Attributes:
      title: The run in words, for messages.
      epochs: Number of epochs.
      selection: The epoch to keep, and when to stop.
      metrics: Names of the compiled metrics that the history records; `progress` shows the first.
      save_steps: Saves a checkpoint after so many steps, too; 0 saves at the end of epochs only.
    """

    title: str
    epochs: int
    selection: Selection
    metrics: tuple[str, ...]
    save_steps: int = 0


def fit(
    folder: str | Path,
    model: keras.Model,
    batches: Batches,
    plan: Plan,
    progress: Progress | None = None,
    scalars: Scalars | None = None,
) -> dict[str, Any]:
    """Trains a compiled, built model, from the state that `folder` contains.

    An optimiser with averages (`swap_averages`) is validated and kept with them.

    Args:
      folder: Contains checkpoints/, best.npz, history.csv and logs/ (TensorBoard).
      model: The model.
      batches: The data.
      plan: Number of epochs, and what is kept and recorded.
      progress: Called with (epochs done, epochs in all, loss and validation accuracy in words), at
        first with the epochs of an earlier call.
      scalars: Returns {name: number} for TensorBoard, after each epoch and its validation.

    Returns:
      {"epochs", "steps", "best_epoch", "validation_<metric>" for each metric, "validation_loss",
      "parameters", "trainable_parameters", "seconds"}. "best_epoch" is the epoch that was kept, and
      best.npz contains its weights. Without validation data the entries "validation_..." are left
      out, and so are the columns "val_..." of history.csv.

    Raises:
      CrossaskError: The loss is not finite, or the weights to keep are not, or `folder` cannot be
        written or its disk is full; the last saved state remains.
      Preempted: SIGTERM arrived here, or on any machine that trains with this one. The state of
        the current step is saved.
    """
    folder = Path(folder)
    with _sigterm_event() as sigterm, contextlib.ExitStack() as links:
        state = _ResumableState(folder, model, batches, plan, sigterm)
        state.progress = progress
        state.scalars = scalars
        epoch, step = state.restore(links)
        if epoch < plan.epochs and not plan.selection.stops(state.history):
            callbacks = [state]
            if state.writes:
                logs = str(folder / "logs")
                callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
            if step:
                _fit_epochs(model, batches, epoch, epoch + 1, step, callbacks)
                epoch += 1
            if epoch < plan.epochs and not model.stop_training:
                _fit_epochs(model, batches, epoch, plan.epochs, 0, callbacks)
        if sigterm.is_set():
            raise Preempted
    return _result(model, batches.steps, plan, state.history)


def save_weights(path: str | Path, model: keras.Model) -> None:
    """Writes all weights of a model, in its order, as one file."""
    _write_arrays(path, model.get_weights())


def load_weights(path: str | Path, model: keras.Model) -> None:
    """Reads weights into a built model of the same configuration.

    Raises:
      DataError: The file is damaged, or contains the weights of another model.
    """
    arrays = stored.read_arrays(path, TRAIN_AGAIN)
    with stored.damage_of(path, TRAIN_AGAIN):
        model.set_weights([arrays[f"{number:04d}"] for number in range(len(arrays))])


def _fit_epochs(
    model: keras.Model,
    batches: Batches,
    first: int,
    last: int,
    done: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Trains the epochs from `first` to `last` - 1, without the first `done` steps of the first."""
    model.fit(
        batches.training(first, done),
        epochs=last,
        initial_epoch=first,
        steps_per_epoch=batches.steps - done,
        validation_data=batches.validation,
        validation_steps=batches.validation_steps,
        callbacks=callbacks,
        verbose=0,
    )


def _result(
    model: keras.Model, steps: int, plan: Plan, history: Sequence[EpochRecord]
) -> dict[str, Any]:
    """Returns what `fit` returns; `steps` is the number of batches in an epoch."""
    best = plan.selection.kept(history)
    result = {
        "epochs": len(history),
        "steps": steps * len(history),
        "best_epoch": int(best["epoch"]),
    }
    if "val_loss" in best:
        for metric in plan.metrics:
            result[f"validation_{metric}"] = best[f"val_{metric}"]
        result["validation_loss"] = best["val_loss"]
    result["parameters"] = count_parameters(model.weights)
    result["trainable_parameters"] = count_parameters(model.trainable_weights)
    result["seconds"] = round(sum(record["seconds"] for record in history), 1)
    return result


class _ResumableState(keras.callbacks.Callback):
    """Records every epoch, and saves and restores the state of training.

    The order at the end of an epoch is: best weights, history, checkpoint. If the process is killed
    in between, the epoch is repeated, with the same bits.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        batches: Batches,
        plan: Plan,
        sigterm: threading.Event,
    ):
        super().__init__()
        # The logs of batches are not read, so Keras need not wait for the device after each.
        self._supports_tf_logs = True
        self.folder = folder
        self.network = model
        self.steps = batches.steps
        self.validation_mean_weight = batches.validation_mean_weight
        self.plan = plan
        self.sigterm = sigterm
        self.progress: Progress | None = None
        self.scalars: Scalars | None = None
        self.history: list[EpochRecord] = []
        # Every machine takes part in saving, because some variables are sums over machines; the
        # first one keeps the file.
        self.writes = model.distribute_strategy.extended.should_checkpoint

        # The current epoch: when it began or went on, the number of its steps before an
        # interruption, and their seconds.
        self.started = 0.0
        self.first_step = 0
        self.seconds_before = 0.0
        # Metrics of the epoch, if its only step after an interruption is its last one.
        self.means: dict[str, float] = {}

        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.sums = _MetricSums()
        self.checkpoint = tf.train.Checkpoint(
            model=model,
            optimizer=model.optimizer,
            epoch=self.epoch,
            step=self.step,
            sums=self.sums,
        )
        # This access creates the counter of checkpoints. Later, within a strategy's scope, the
        # machine that saves would wait for the others to create theirs.
        self.checkpoint.save_counter  # noqa: B018
        self.manager = self._checkpoint_manager()

    def restore(self, links: contextlib.ExitStack) -> tuple[int, int]:
        """Restores the last saved state.

        Args:
          links: Keeps a link to the checkpoint that is read, if there is one, as long as the model
            may read it.

        Returns:
          The epoch to go on with and the number of its steps that are done; (0, 0) in a new folder.
        """
        latest = self.manager.latest_checkpoint
        self._check_state(latest)
        if self.writes:
            files.remove_remains(self.folder)
            self._remove_incomplete()
            self._check_room(has_checkpoint=latest is not None)
        if latest is not None:
            try:
                readable = links.enter_context(files.without_pattern(Path(latest).parent))
                path = str(readable / Path(latest).name)
                self.checkpoint.restore(path).assert_existing_objects_matched()
            except BROKEN_CHECKPOINT as error:
                raise DataError(
                    f"The checkpoint {latest} is damaged ({first_line(error)}).",
                    self._restart(),
                ) from error
            self.history = self.sums.history or self._read_history(int(self.epoch))
        self._check_machines()
        return len(self.history), int(self.step.numpy())

    def _checkpoint_manager(self) -> tf.train.CheckpointManager:
        """Returns the manager of the checkpoints; raises DataError if their list is damaged."""
        folder = self.folder / "checkpoints"
        try:
            return _CheckpointManager(self.checkpoint, str(folder), max_to_keep=2)
        except (tf.errors.OpError, ValueError) as error:
            raise DataError(
                f"{folder / 'checkpoint'} is damaged ({first_line(error)}).", self._restart()
            ) from error

    def _check_machines(self) -> None:
        """Raises CrossaskError if the machines have found different states."""
        strategy = self.network.distribute_strategy
        epochs = devices.values_of_machines(strategy, float(self.epoch.numpy()))
        steps = devices.values_of_machines(strategy, float(self.step.numpy()))
        states = list(zip(epochs, steps, strict=True))
        if len(set(states)) > 1:
            listed = [f"{epoch:g} epochs and {step:g} steps" for epoch, step in states]
            raise CrossaskError(
                f"The machines do not go on from the same state: {'; '.join(listed)} are done.",
                f"{self.folder} must be one folder, on a disk that all machines share.",
            )

    def _check_state(self, latest: str | None) -> None:
        """Raises DataError if the file that names the checkpoint is damaged."""
        state = self.folder / "checkpoints" / "checkpoint"
        is_damaged = latest is None and state.exists()
        # The file names a checkpoint, which may be missing.
        if latest is not None and not Path(f"{latest}.index").is_file():
            is_damaged = True
        if is_damaged:
            raise DataError(
                f"{state} is damaged: it names no checkpoint in its folder.", self._restart()
            )

    def _restart(self) -> str:
        """Returns what to do about a checkpoint that cannot be read."""
        return (
            f"Restore {self.folder / 'checkpoints'} from a copy, or remove that folder: training "
            "then starts at the first epoch."
        )

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._show_progress()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.started = time.monotonic()
        self.first_step = int(self.step.numpy())
        self.seconds_before = self.sums.seconds
        self.means = {}

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if batch == 0 and self.first_step:
            # Keras creates the metric of the loss in the first step, so the sums of the steps
            # before the interruption are added after it; addition commutes.
            self.sums.add_to(self.network)
            # If this is also the epoch's last step, Keras has already read the metrics.
            for metric in self.network.metrics:
                self.means[metric.name] = float(metric.result())
        done = self.first_step + batch + 1
        if done == self.steps:
            return
        self.means = {}
        is_preempted = self._is_preempted()
        save_steps = self.plan.save_steps
        is_due = save_steps > 0 and done % save_steps == 0
        if is_preempted or is_due:
            self.step.assign(done)
            self.sums.copy_from(self.network, self._seconds())
            self._save()
        if is_preempted:
            raise Preempted

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._swap_averages()

    def on_test_end(self, logs: dict | None = None) -> None:
        self._swap_averages()
        # TensorBoard's callback follows and writes this value for each validation. Keras passes a
        # copy, so `on_epoch_end` corrects the value of the epoch.
        logs["loss"] /= self.validation_mean_weight

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs.update(self.means)
        # Keras divides the sum of the losses by the number of all examples, including those of
        # weight 0. It divides the metrics by the sum of the weights already.
        if "val_loss" in logs:
            logs["val_loss"] /= self.validation_mean_weight
        if not np.isfinite(logs["loss"]):
            raise CrossaskError(
                f"The loss of {self.plan.title} is {logs['loss']} in epoch {epoch + 1}.",
                "Lower the learning rate and train again.",
            )
        self.history.append(self._record(epoch, logs))
        if self.scalars is not None:
            # TensorBoard's callback follows and writes what the logs contain.
            logs.update(self.scalars())
        best_weights = None
        if self.plan.selection.kept(self.history)["epoch"] == epoch + 1:
            best_weights = self._averaged_weights()
            self._check_kept(best_weights)
        self.epoch.assign(epoch + 1)
        self.step.assign(0)
        self.sums.clear()
        self._save(best_weights)
        if self.plan.selection.stops(self.history):
            self.network.stop_training = True
        self._show_progress()
        if self._is_preempted():
            raise Preempted

    def _check_kept(self, weights: Sequence[np.ndarray]) -> None:
        """Raises CrossaskError if the epoch to keep cannot predict.

        The loss of an epoch is that before its last step, and may be finite nevertheless.
        """
        record = self.history[-1]
        problem = ""
        if not all(np.isfinite(array).all() for array in weights):
            problem = "Some weights"
        elif not np.isfinite(record.get("val_loss", 0.0)):
            problem = "Validation losses"
        if problem:
            raise CrossaskError(
                f"{problem} of {self.plan.title} are not finite after epoch {record['epoch']}.",
                "Lower the learning rate and train again.",
            )

    def _is_preempted(self) -> bool:
        """Returns whether SIGTERM has arrived, here or on another machine.

        All machines exchange this after each step, so they stop after the same step and save it
        together.
        """
        strategy = self.network.distribute_strategy
        return any(devices.values_of_machines(strategy, float(self.sigterm.is_set())))

    def _record(self, epoch: int, logs: dict) -> EpochRecord:
        """Returns the line of history.csv for an epoch, numbered from 0 here and from 1 there."""
        metrics = self.plan.metrics
        names = ["loss", *metrics]
        if "val_loss" in logs:
            names += ["val_loss", *(f"val_{metric}" for metric in metrics)]
        record = {"epoch": epoch + 1}
        for name in names:
            record[name] = float(logs[name])
        rate = keras.backend.get_value(self.network.optimizer.learning_rate)
        record["learning_rate"] = float(rate)
        record["seconds"] = round(self._seconds(), 3)
        return record

    def _averaged_weights(self) -> list[np.ndarray]:
        """Returns the model's weights, or their averages where the optimiser computes some."""
        self._swap_averages()
        weights = self.network.get_weights()
        self._swap_averages()
        return weights

    def _save(self, best_weights: list[np.ndarray] | None = None) -> None:
        """Saves the state, and the weights of a new best epoch before it."""
        if not self.writes:
            # The other machines take part in computing the checkpoint and discard theirs.
            with files.working_folder("crossask-checkpoint") as elsewhere:
                self.checkpoint.write(str(elsewhere / "checkpoint"))
            return
        try:
            if best_weights is not None:
                _write_arrays(self.folder / "best.npz", best_weights)
            if self.history:
                with files.writing(self.folder / "history.csv") as temporary:
                    pd.DataFrame(self.history).to_csv(temporary, index=False)
            self.sums.history = self.history
            latest = Path(self.manager.save())
            for path in latest.parent.glob(f"{latest.name}.*"):
                files.sync(path)
            files.sync(latest.with_name("checkpoint"))
            files.sync(latest.parent)
            # The previous checkpoint is removed only now, when the new one is on the disk.
            self._remove_incomplete()
        except (OSError, *DISK_ERRORS) as error:
            self._remove_incomplete()
            raise CrossaskError(
                f"{self.plan.title} cannot be saved in {self.folder}: {first_line(error)}.",
                "Free some space and run the same command again: it goes on from the last saved "
                "state.",
            ) from error

    def _read_history(self, epochs: int) -> list[EpochRecord]:
        """Returns the records of the first `epochs` epochs from history.csv.

        It is for checkpoints of earlier versions; later ones contain the records.
        """
        if not epochs:
            return []
        path = self.folder / "history.csv"
        records = []
        with stored.damage_of(path, self._restart()):
            for row in text_tables.read_csv(path).rows:
                record = {name: float(value) for name, value in row.items()}
                record["epoch"] = int(record["epoch"])
                records.append(record)
        # If the process was killed before its checkpoint was complete, the file has one epoch more.
        if [record["epoch"] for record in records[:epochs]] != list(range(1, epochs + 1)):
            raise DataError(
                f"{path} does not contain the {epochs} epochs of the checkpoint.", self._restart()
            )
        return records[:epochs]

    def _check_room(self, has_checkpoint: bool) -> None:
        """Raises CrossaskError unless the disk has room for checkpoints and best weights."""
        weights = _bytes(self.network.weights)
        slots = _bytes(self.network.optimizer.variables)
        # A checkpoint is removed when the next one is complete, and so are the best weights.
        checkpoints = 1 if has_checkpoint else 2
        files.check_room(self.folder, checkpoints * (weights + slots) + 2 * weights)

    def _remove_incomplete(self) -> None:
        """Removes what an interrupted save left beside the last complete checkpoint."""
        folder = self.folder / "checkpoints"
        # The folder is read, because the manager also lists a checkpoint whose writing failed.
        state = tf.train.get_checkpoint_state(str(folder))
        complete = state.model_checkpoint_path if state is not None else None
        if complete is not None and not Path(f"{complete}.index").is_file():
            complete = None
        if complete is None and (folder / "checkpoint").is_file():
            # The list of checkpoints is damaged, so none of them can be called incomplete.
            return
        complete_name = Path(complete).name if complete is not None else ""
        for path in folder.glob("ckpt-*"):
            # A checkpoint consists of several files: ckpt-3.index, ckpt-3.data-00000-of-00001.
            if path.name.split(".")[0] != complete_name:
                files.remove(path)

    def _swap_averages(self) -> None:
        """Exchanges the weights and their averages, if the optimiser computes averages."""
        optimizer = without_loss_scaling(self.network.optimizer)
        if hasattr(optimizer, "swap_averages"):
            optimizer.swap_averages(self.network.trainable_variables)

    def _seconds(self) -> float:
        """Returns the duration of the current epoch, with the time before an interruption."""
        return self.seconds_before + time.monotonic() - self.started

    def _show_progress(self) -> None:
        """Calls `progress` with the epochs done, and the last loss and accuracy in words."""
        if self.progress is None:
            return
        note = "starts"
        if self.history:
            last = self.history[-1]
            note = f"loss {last['loss']:.3f}"
            accuracy = last.get(f"val_{self.plan.metrics[0]}")
            if accuracy is not None:
                note += f", validation {100 * accuracy:.1f} %"
        self.progress(len(self.history), self.plan.epochs, note)


class _CheckpointManager(tf.train.CheckpointManager):
    """Writes checkpoints and removes none; `_ResumableState` does.

    TensorFlow takes the path of a checkpoint that it removes for a pattern. In the folder of a row
    called "cmam*" it would remove those of the row "cmam_2", and in "runs[1]" none at all.
    """

    def _sweep(self) -> None:
        """Leaves all but the last checkpoints out of the list."""
        while len(self._maybe_delete) > self._max_to_keep:
            self._maybe_delete.popitem(last=False)


class _MetricSums(tf.train.experimental.PythonState):
    """The sums behind the metrics of an interrupted epoch, and its duration so far.

    The records of the epochs before it are stored with them.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.seconds = 0.0
        self.history: list[EpochRecord] = []

    def copy_from(self, model: keras.Model, seconds: float) -> None:
        """Copies the sums of the model's metrics, and the duration of the epoch so far."""
        self.values = {}
        for metric in model.metrics:
            for variable in metric.variables:
                self.values[f"{metric.name}/{variable.name}"] = variable.numpy().tolist()
        self.seconds = seconds

    def add_to(self, model: keras.Model) -> None:
        """Adds the sums to those of the model's metrics."""
        for metric in model.metrics:
            for variable in metric.variables:
                value = self.values[f"{metric.name}/{variable.name}"]
                dtype = variable.dtype.as_numpy_dtype
                variable.assign(variable.numpy() + np.asarray(value, dtype))

    def clear(self) -> None:
        """Removes all sums."""
        self.values = {}
        self.seconds = 0.0

    def serialize(self) -> str:
        """Returns the sums as text, for a checkpoint."""
        return json.dumps([self.values, self.seconds, self.history])

    def deserialize(self, string_value: str) -> None:
        """Restores the sums from a checkpoint's text."""
        # Checkpoints of earlier versions contain no history.
        values, seconds, *history = json.loads(string_value)
        self.values = values
        self.seconds = seconds
        self.history = history[0] if history else []


@contextlib.contextmanager
def _sigterm_event() -> Iterator[threading.Event]:
    """Yields an event that SIGTERM sets instead of ending the process.

    Signals can be handled in the main thread alone; elsewhere the event is never set.
    """
    arrived = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def set_event(_number: int, _frame: Any) -> None:
        arrived.set()

    previous_handler = signal.signal(signal.SIGTERM, set_event)
    try:
        yield arrived
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


def _write_arrays(path: str | Path, values: Sequence[np.ndarray]) -> None:
    """Writes arrays as an .npz, named by their numbers: "0000", "0001", ..."""
    arrays = {f"{number:04d}": value for number, value in enumerate(values)}
    stored.write_arrays(path, arrays)


def _bytes(variables: Sequence[tf.Variable]) -> int:
    return sum(count_parameters([variable]) * variable.dtype.size for variable in variables)

"""Event models of other projects: SavedModels that map a waveform to embeddings."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import files
from crossask.audio import resampling
from crossask.config import EventModelConfig
from crossask.errors import ConfigError, WeightsError, first_line

# Files of a SavedModel that decide what it computes.
CONTENT = ("saved_model.pb", "variables/**/*", "assets/**/*")
WRAP_IT = (
    "Save a tf.Module whose __call__ maps float32 [samples] to the embeddings [n, width] "
    "(docs/own_recordings.md has an example)."
)
# Deviation of the noise on which a model is tried, as of quiet recordings.
NOISE_DEVIATION = 0.1

Outputs = dict[str, tf.Tensor]


class WaveformModel(tf.Module):
    """A frozen SavedModel as event model: waveform [..., samples] -> embeddings [..., n, width].

    The SavedModel maps one waveform [samples], or a batch [batch, samples], of float32 at
    `EventModelConfig.sample_rate_hz` to embeddings: [n, width] or [width] for one waveform, with
    the axis of the batch first if the input has it. It is called as a function, as modules of
    TF-Hub are; a SavedModel that is no function is called by its signature "serving_default", or by
    its only one.

    If the model's input has a fixed length, or `EventModelConfig.window_seconds` is set, a waveform
    is cut into windows of this length. The last one is filled with silence, and the embeddings of
    all windows are joined in time.

    Attributes:
      source: Path or handle of the SavedModel.
      sample_rate_hz: Sample rate of the waveform in Hz.
    """

    def __init__(self, config: EventModelConfig):
        """Loads the SavedModel; its code runs when waveforms are embedded.

        Args:
          config: `weights`, `sample_rate_hz`, `output` and `window_seconds` are used.

        Raises:
          ConfigError: The sample rate is not one that the resampler has, or the windows do not have
            the length that the model requires.
          WeightsError: `weights` is no SavedModel, or one that does not take a waveform.
        """
        super().__init__(name="event_model")
        if config.sample_rate_hz not in resampling.SAMPLE_RATES_HZ:
            rates = ", ".join(map(str, resampling.SAMPLE_RATES_HZ))
            raise ConfigError(
                f"event_model.sample_rate_hz is {config.sample_rate_hz}.", f"Use one of: {rates}."
            )
        self.source = config.weights
        self.sample_rate_hz = config.sample_rate_hz
        # Name of the configured output; "" if the model has only one, whose name a trial sets.
        self._output = config.output
        self._output_name = config.output
        self._folder = _folder(config.weights)
        # TensorFlow saves what a tf.Module has as attributes, so an exported model contains it.
        self._loaded = _load(self._folder)
        self._function = _callable_of(self._loaded, self._folder)
        self._window = _window_samples(self._function, config)
        # Keys are text, as tf.Module requires of dictionaries.
        self._shapes: dict[str, tuple[int, int]] = {}

    def __call__(self, waveform: tf.Tensor | np.ndarray, training: bool = False) -> tf.Tensor:
        """Returns the embeddings [..., n, width] of waveforms [..., samples].

        Args:
          waveform: The waveforms; their length must be known.
          training: Not used: the model is frozen.

        Raises:
          WeightsError: See `embedding_shape`.
        """
        waveform = tf.convert_to_tensor(waveform, tf.float32)
        samples = waveform.shape[-1]
        # In a graph, the trial must run now instead of being added to the graph.
        with tf.init_scope():
            count, width = self.embedding_shape(samples)
        windows = self._windows(waveform)  # [..., windows, window]
        flat = tf.reshape(windows, [-1, windows.shape[-1]])
        if windows.shape.is_fully_defined():
            # The size of the batch is known, so it needs no loop.
            flat = tf.ensure_shape(flat, [windows.shape[:-1].num_elements(), windows.shape[-1]])
        per_window = count // windows.shape[-2]
        embedding = self._embed(flat, per_window, width)  # [..., per_window, width]
        leading = tf.shape(waveform)[:-1]
        embedding = tf.reshape(embedding, tf.concat([leading, [count, width]], 0))
        # The dynamic reshape loses the static sizes of the leading axes.
        embedding = tf.ensure_shape(embedding, [*waveform.shape[:-1], count, width])
        return tf.stop_gradient(embedding)

    def embedding_shape(self, samples: int) -> tuple[int, int]:
        """Returns the shape (n, width) of the embeddings of a waveform, by a trial on noise.

        Args:
          samples: Length of the waveform.

        Raises:
          WeightsError: The SavedModel cannot read a waveform of this length, has several outputs or
            not the configured one, or the output is not a finite embedding of each waveform.
        """
        key = str(samples)
        if key not in self._shapes:
            self._shapes[key] = self._tried_shape(samples)
        count, width = self._shapes[key]
        return count, width

    def weights_digest(self) -> str:
        """Returns hexadecimal digits that change with the SavedModel and with how it is used."""
        found = hashlib.sha256()
        choices = [self.sample_rate_hz, self._output, self._window]
        found.update(json.dumps(choices).encode())
        for pattern in CONTENT:
            for path in sorted(self._folder.glob(pattern)):
                if path.is_file():
                    found.update(path.relative_to(self._folder).as_posix().encode())
                    found.update(hashlib.sha256(path.read_bytes()).digest())
        return found.hexdigest()

    @property
    def weights(self) -> list[tf.Variable]:
        """The variables that the SavedModel reads."""
        return list(self._function.variables)

    def _windows(self, waveform: tf.Tensor) -> tf.Tensor:
        """Cuts waveforms [..., samples] into windows [..., windows, window]."""
        if self._window is None:
            return waveform[..., tf.newaxis, :]
        return tf.signal.frame(waveform, self._window, self._window, pad_end=True)

    def _embed(self, waveforms: tf.Tensor, count: int, width: int) -> tf.Tensor:
        """Returns the embeddings [batch, count, width] of waveforms [batch, samples]."""
        if self._function.takes_batch:
            embedding = self._function(waveforms)[self._output_name]
            return tf.reshape(embedding, [-1, count, width])

        def embed_one(waveform: tf.Tensor) -> tf.Tensor:
            embedding = self._function(waveform)[self._output_name]
            return tf.reshape(embedding, [count, width])

        if waveforms.shape[0] is None:
            shape = tf.TensorSpec([count, width], tf.float32)
            return tf.map_fn(embed_one, waveforms, fn_output_signature=shape)
        # A loop in the graph would slow down the cache, and LiteRT lacks its operators.
        return tf.stack([embed_one(waveform) for waveform in tf.unstack(waveforms)])

    def _tried_shape(self, samples: int) -> tuple[int, int]:
        """Returns what `embedding_shape` does, by calling the model on noise."""
        noise = np.random.default_rng(0).normal(0, NOISE_DEVIATION, samples)
        windows = self._windows(tf.constant(noise, tf.float32))  # [windows, window]
        window = windows[0]
        # A batch of two shows which axis of the output is that of the batch.
        waveform = tf.stack([window, window]) if self._function.takes_batch else window
        outputs = self._outputs_of(waveform)
        embedding = self._chosen(outputs)
        shape = tuple(embedding.shape)
        if self._function.takes_batch:
            is_of_waveform = len(shape) in (2, 3) and shape[0] == waveform.shape[0]
            shape = shape[1:]
        else:
            is_of_waveform = len(shape) in (1, 2)
        if not is_of_waveform or not embedding.dtype.is_floating or 0 in shape:
            read = "waveforms" if self._function.takes_batch else "a waveform"
            raise WeightsError(
                f"The output {self._output_name} of {self._folder} is {embedding.dtype.name} "
                f"{list(embedding.shape)} for {read} {list(waveform.shape)}, which is no sequence "
                "of embeddings.",
                f"Set event_model.output to another of {_listed(outputs)}. {WRAP_IT}",
            )
        if not np.isfinite(embedding.numpy()).all():
            raise WeightsError(
                f"{self._folder} computes values that are not finite from noise.",
                f"Check event_model.sample_rate_hz and event_model.output. {WRAP_IT}",
            )
        # A single embedding is a sequence of one.
        per_window = shape[0] if len(shape) == 2 else 1
        return per_window * windows.shape[0], shape[-1]

    def _outputs_of(self, waveform: tf.Tensor) -> Outputs:
        """Returns the outputs for one waveform [samples], or a batch [batch, samples].

        Raises:
          WeightsError: The SavedModel raises an error.
        """
        try:
            return self._function(waveform)
        # The model may be of any project, and raise anything.
        except Exception as error:
            samples = waveform.shape[-1]
            seconds = samples / self.sample_rate_hz
            raise WeightsError(
                f"{self._folder} cannot read a waveform of {samples} samples ({seconds:g} s at "
                f"{self.sample_rate_hz} Hz): {type(error).__name__}: {first_line(error)}",
                f"Set event_model.sample_rate_hz and event_model.window_seconds. {WRAP_IT}",
            ) from error

    def _chosen(self, outputs: Outputs) -> tf.Tensor:
        """Returns the output with the embeddings, and stores its name.

        Raises:
          WeightsError: There is no such output, or several and none is configured.
        """
        name = self._output
        if not name and len(outputs) == 1:
            name = next(iter(outputs))
        if name not in outputs:
            problem = f"has no output {name!r}" if name else f"has {len(outputs)} outputs"
            raise WeightsError(
                f"{self._folder} {problem}.",
                f"Set event_model.output to one of {_listed(outputs)}.",
            )
        self._output_name = name
        return outputs[name]


@dataclasses.dataclass(frozen=True)
class _Function:
    """A function of a SavedModel that takes a waveform.

    Attributes:
      function: The function.
      keyword: Name of its argument; "" if it is called by position.
      spec: Shape and type of its argument.
      variables: Variables that it reads.
    """

    function: Callable
    keyword: str
    spec: tf.TensorSpec
    variables: tuple[tf.Variable, ...]

    @property
    def takes_batch(self) -> bool:
        """Whether the argument is [batch, samples] instead of [samples]."""
        return self.spec.shape.rank == 2

    @property
    def samples(self) -> int | None:
        """Length of the waveform if it is fixed, else None."""
        if self.spec.shape.rank is None:
            return None
        return self.spec.shape[-1]

    def __call__(self, waveform: tf.Tensor) -> Outputs:
        """Returns the outputs by name; those of a sequence are called "0", "1", ..."""
        waveform = tf.cast(waveform, self.spec.dtype)
        if self.keyword:
            result = self.function(**{self.keyword: waveform})
        else:
            result = self.function(waveform)
        if isinstance(result, Mapping):
            named = dict(result)
        elif isinstance(result, (list, tuple)):
            named = {str(number): output for number, output in enumerate(result)}
        else:
            named = {"0": result}
        outputs = {}
        for name, output in named.items():
            if tf.is_tensor(output):
                is_real = output.dtype.is_floating
                outputs[str(name)] = tf.cast(output, tf.float32) if is_real else output
        return outputs


def _folder(handle: str) -> Path:
    """Returns the folder of the SavedModel; raises WeightsError if it is none."""
    # The assets are verified with event models, so they cannot be imported first.
    from crossask.events import assets

    if not handle:
        raise WeightsError(
            "event_model.name is 'saved_model', but event_model.weights is empty.",
            "Set event_model.weights to the folder of a SavedModel or a TF-Hub handle.",
        )
    folder = assets.locate(handle)
    if not (folder / "saved_model.pb").is_file():
        raise WeightsError(
            f"{str(folder)!r} is not a SavedModel: it contains no saved_model.pb.",
            "Set event_model.weights to the folder of a SavedModel or a TF-Hub handle.",
        )
    return folder


def _load(folder: Path) -> Any:
    """Returns the object of a SavedModel; raises WeightsError if it cannot be loaded."""
    try:
        # An export copies the model's files later.
        return tf.saved_model.load(str(files.kept_without_pattern(folder)))
    # A SavedModel may need operators or files that are missing, which raises many kinds of errors.
    except Exception as error:
        raise WeightsError(
            f"The SavedModel {folder} cannot be loaded: "
            f"{type(error).__name__}: {first_line(error)}",
            "Fetch it again, or save it anew with TensorFlow 2.",
        ) from error


def _callable_of(loaded: Any, folder: Path) -> _Function:
    """Returns the function of a SavedModel that takes a waveform; see `WaveformModel`."""
    signatures = dict(getattr(loaded, "signatures", {}))
    functions = []
    if callable(loaded):
        functions = getattr(loaded.__call__, "concrete_functions", [])
    if functions:
        name = "the function"
        function = loaded
        # Keras has one for training and one for inference, with the same arguments. Without an
        # argument `training`, a call is inference.
        concrete = functions[0]
        arguments = dict(enumerate(concrete.structured_input_signature[0]))
        arguments |= concrete.structured_input_signature[1]
    elif "serving_default" in signatures or len(signatures) == 1:
        name = "serving_default" if "serving_default" in signatures else next(iter(signatures))
        function = signatures[name]
        concrete = function
        arguments = concrete.structured_input_signature[1]
        name = f"the signature {name!r}"
    else:
        raise WeightsError(
            f"{folder} can neither be called nor has it a signature 'serving_default'; its "
            f"signatures: {', '.join(signatures) or 'none'}.",
            WRAP_IT,
        )
    specs = {}
    for key, value in arguments.items():
        if isinstance(value, tf.TensorSpec):
            specs[key] = value
    # Sorted, because TensorFlow does not keep the order of a signature's arguments.
    listed = ", ".join(
        sorted(f"{spec.dtype.name} {_shape_text(spec.shape)}" for spec in specs.values())
    )
    takes_one_waveform = len(specs) == 1 and all(_is_waveform(spec) for spec in specs.values())
    if not takes_one_waveform:
        raise WeightsError(
            f"In {folder}, {name} takes {listed or 'no tensor'}, which is not one waveform.",
            WRAP_IT,
        )
    key, spec = next(iter(specs.items()))
    keyword = key if isinstance(key, str) else ""
    return _Function(function, keyword, spec, tuple(concrete.graph.variables))


def _is_waveform(spec: tf.TensorSpec) -> bool:
    """Returns whether an argument may be a waveform, or a batch of waveforms."""
    return spec.dtype.is_floating and spec.shape.rank in (None, 1, 2)


def _window_samples(function: _Function, config: EventModelConfig) -> int | None:
    """Returns the length of a window in samples, or None if a waveform is not cut."""
    if config.window_seconds is None:
        return function.samples
    window = max(1, round(config.window_seconds * config.sample_rate_hz))
    if function.samples not in (None, window):
        raise ConfigError(
            f"event_model.window_seconds is {config.window_seconds:g}, which is {window} samples, "
            f"but the model reads {function.samples} samples.",
            "Set event_model.window_seconds=None, or correct event_model.sample_rate_hz.",
        )
    return window


def _listed(outputs: Outputs) -> str:
    """Returns the names and shapes of outputs, "0 [20, 521], 1 [20, 1024]"."""
    return ", ".join(f"{name} {list(output.shape)}" for name, output in outputs.items())


def _shape_text(shape: tf.TensorShape) -> str:
    """Returns a shape for a message, such as "[None, 16000]"."""
    if shape.rank is None:
        return "of any shape"
    return str(shape.as_list())

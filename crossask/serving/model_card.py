"""The model card: a dictionary that is stored as JSON with every exported model."""

from collections.abc import Sequence
from typing import Any

from crossask import config, events
from crossask.audio import amplitudes, clip_features, resampling
from crossask.audio.windows import LEAST_SECONDS
from crossask.errors import ConfigError
from crossask.training.run_folder import Run
from crossask.version import __version__


def exportable_experiment(run: Run) -> config.Experiment:
    """Returns the run's experiment if recordings are all that its model needs as input.

    Raises:
      ConfigError: The run is a control, or was trained on embeddings from a file.
    """
    experiment = run.experiment()
    if experiment.event_control:
        raise ConfigError(
            f"Row {experiment.name!r} is a control (event_control={experiment.event_control}): it "
            "reads other values than the embeddings that an event model computes from a recording.",
            "Export the same row without event_control.",
        )
    if run.read("config.json")["corpus"].get("ready_made"):
        raise ConfigError(
            f"Row {experiment.name!r} was trained on ready-made embeddings, and the model that "
            "computes them from a recording is not available.",
            "Train on recordings with an event model (event_model.weights), and export that run.",
        )
    return experiment


def model_card(run: Run) -> dict[str, Any]:
    """Returns what users of an exported model need to know about it, as JSON values.

    Args:
      run: The finished run that is exported.
    """
    record = run.read("config.json")
    card = facts_of_row(run.experiment(), record["scenes"])
    card |= {
        "experiment": record["experiment"],
        "trained_on": record["corpus"],
        "fold": run.fold,
        "seed": run.seed,
        "training": run.read("result.json"),
    }
    if run.path("scores.json").is_file():
        card["evaluation"] = run.read("scores.json")
    return card


def facts_of_row(experiment: config.Experiment, scenes: Sequence[str]) -> dict[str, Any]:
    """Returns the facts of a model card that follow from the row.

    Args:
      experiment: The row.
      scenes: Names of the scenes in the order of the model's outputs.
    """
    features = experiment.features
    front_end = {
        "log_mel": config.to_dict(features.log_mel),
        "resampler": resampling.RESAMPLER_VERSION,
    }
    event_front_end = events.front_end_of(experiment)
    if event_front_end:
        front_end["events"] = {
            "patches": event_front_end,
            "sample_rate_hz": clip_features.event_rate_hz(experiment.event_model),
            "level_dbfs": experiment.event_model.level,
        }
    return {
        "what": "Acoustic scene classifier written by crossask",
        "crossask": __version__,
        "scenes": list(scenes),
        "experiment": config.to_dict(experiment),
        # Length of the training clips, and of a window of a longer recording.
        "clip_seconds": features.clip_seconds,
        "least_seconds": min(LEAST_SECONDS, features.clip_seconds),
        # A waveform that lacks at most this much of a window is filled with silence, as in
        # training; a shorter one is repeated.
        "max_padding_seconds": features.max_padding_seconds,
        # Full scale is 1; samples of this amplitude or more are refused.
        "largest_sample": amplitudes.LIMIT,
        # Rate from which the log-mel is computed, and the rates that the model accepts.
        "sample_rate_hz": features.sample_rate_hz,
        "sample_rates_hz": list(resampling.SAMPLE_RATES_HZ),
        "front_end": front_end,
    }

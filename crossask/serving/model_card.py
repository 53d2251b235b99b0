"""What travels with an exported model, in whichever format."""

from crossask import config, events
from crossask.audio import frontends, resampling
from crossask.errors import ConfigError
from crossask.training import run_folder
from crossask.version import __version__

LEAST_SECONDS = 1.0  # of a waveform


def servable(run: run_folder.Run) -> config.Experiment:
    """The run's experiment; a ConfigError if it learnt from something that a recording does not hold."""
    experiment = run.experiment()
    if experiment.event_control:
        raise ConfigError(
            f"Row {experiment.name!r} is a control (event_control={experiment.event_control}): it does not hear a clip's own embeddings.",
            "Export the row that it is a control of.",
        )
    if run.read("config.json")["corpus"].get("ready_made"):
        raise ConfigError(
            f"Row {experiment.name!r} learnt from ready-made embeddings: what gave them from a recording is not known here.",
            "Train on recordings with an event model (event_model.weights), and export that.",
        )
    return experiment


def model_card(run: run_folder.Run, record: dict) -> dict:
    """What a user of the model should know of it, as JSON can hold it."""
    experiment = run.experiment()
    card = {
        "what": "Acoustic scene classifier written by crossask",
        "crossask": __version__,
        "scenes": record["scenes"],
        "experiment": record["experiment"],
        "clip_seconds": experiment.features.clip_seconds,
        "least_seconds": min(LEAST_SECONDS, experiment.features.clip_seconds),
        "sample_rate_hz": experiment.features.sample_rate_hz,
        "sample_rates_hz": list(resampling.SAMPLE_RATES_HZ),
        "front_end": {
            "log_mel": config.to_dict(experiment.features.log_mel),
            "resampler": resampling.RESAMPLER_VERSION,
        },
        "trained_on": record["corpus"],
        "fold": run.fold,
        "seed": run.seed,
        "training": run.read("result.json"),
    }
    if front_end := events.front_end_of(experiment):
        card["front_end"]["events"] = {
            "patches": front_end,
            "sample_rate_hz": frontends.EVENT_RATE_HZ,
        }
    if run.path("scores.json").is_file():
        card["evaluation"] = run.read("scores.json")
    return card

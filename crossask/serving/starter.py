"""The starter model: ten everyday scenes, for users without a model of their own.

Its scene head is a small file of this package (`starter.npz`); its event model is the published
YAMNet, which is fetched when it is first used. `starter.json` has what the head was trained and
tested on. benchmarks/starter_model.py made both files.
"""

import functools
import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossask import config, files, locks, stored
from crossask.errors import DataError, WeightsError
from crossask.events import manifest
from crossask.version import __version__

if TYPE_CHECKING:
    from crossask.serving.graph import ServedModel

HEAD = Path(__file__).with_name("starter.npz")
FACTS = Path(__file__).with_name("starter.json")
LOG = logging.getLogger("crossask")


def starter_model(cache_dir: str | Path | None = None) -> Path:
    """Returns the folder of the starter model, a SavedModel; it is written on the first call.

    Args:
      cache_dir: Folder of downloaded files, see `manifest.cache_folder`.

    Raises:
      WeightsError: YAMNet is not in the cache and cannot be fetched.
      CrossaskError: The cache cannot be written.
    """
    digest = hashlib.sha256(HEAD.read_bytes() + FACTS.read_bytes()).hexdigest()[:8]
    folder = manifest.cache_folder(cache_dir) / f"starter-{__version__}-{digest}"
    if not _problem_of(folder):
        return folder
    # Another command may use the model for the first time, too.
    with locks.waiting(), locks.of_path(folder):
        problem = _problem_of(folder)
        if problem:
            if folder.exists():
                LOG.warning("%s The starter model is written again.", problem)
                files.remove(folder)
            _write(folder, cache_dir)
    return folder


def _problem_of(folder: Path) -> str:
    """Returns why a folder is not that of the whole starter model; "" if it is."""
    if not (folder / "saved_model.pb").is_file():
        # Programs that clean caches also remove single files.
        return f"There is no {folder / 'saved_model.pb'}."
    try:
        stored.check_folder(folder, "Remove it.")
    except DataError as error:
        return error.problem
    return ""


def _write(folder: Path, cache_dir: str | Path | None) -> None:
    """Writes the starter model into a folder that does not exist; errors as `starter_model`."""
    # Most commands find the model, and need none of what writing it imports.
    from crossask.events import assets
    from crossask.serving.saved_model import write_model

    LOG.info("The starter model is prepared for its first use: YAMNet (15 MB) is fetched.")
    try:
        weights = assets.fetch("yamnet", cache_dir)
    except WeightsError as error:
        raise WeightsError(
            f"The starter model needs YAMNet. {error.problem}",
            f"{error.fix} Or use a model of your own: --model=MODEL.",
        ) from error
    experiment = starter_experiment(str(weights))
    make = functools.partial(_served_model, experiment)
    write_model(make, experiment.features, folder)


def starter_experiment(weights: str) -> config.Experiment:
    """Returns the row that describes the starter model.

    Args:
      weights: YAMNet, see `EventModelConfig.weights`.
    """
    return config.Experiment(
        "starter",
        system="LINEAR",
        strategy="feature_based",
        dataset="folder",
        # YAMNet reads 16 kHz, so a recording of this rate lacks nothing.
        features=config.FeatureConfig(sample_rate_hz=16000, clip_seconds=10.0, mono=True),
        event_model=config.EventModelConfig(
            name="yamnet", weights=weights, level=starter_facts()["level_dbfs"]
        ),
    )


def starter_facts() -> dict[str, Any]:
    """Returns scenes, training recordings and test results of the starter model."""
    return json.loads(FACTS.read_text(encoding="utf-8"))


def _served_model(experiment: config.Experiment, scratch: Path) -> "ServedModel":
    """Returns the starter model; its card is written into the folder `scratch`."""
    from crossask import events
    from crossask.events.tagger import read_tagger
    from crossask.models.linear import LINEAR
    from crossask.serving.graph import ModelParts, ServedModel
    from crossask.serving.model_card import facts_of_row
    from crossask.serving.saved_model import write_card

    facts = starter_facts()
    scenes = facts["scenes"]
    event_model = events.build(experiment.event_model)
    scene_model = LINEAR(len(scenes), experiment.model)
    embeddings = np.zeros((1, 2, event_model.embedding_size), np.float32)
    scene_model({"embedding": embeddings})
    with np.load(HEAD) as head:
        # The deviation of the embeddings, the second half of LINEAR's input, is not used.
        kernel = np.concatenate([head["kernel"], np.zeros_like(head["kernel"])])
        scene_model.scene.set_weights([kernel, head["bias"]])
    tagger = read_tagger(experiment.event_model)
    card = facts_of_row(experiment, scenes) | {
        "what": "The starter model of crossask: everyday scenes",
        "trained_on": {"recordings": facts["trained_on"]},
        "evaluation": facts["other_source"],
        "least_probability": facts["least_probability"],
        "events": list(tagger.names) if tagger else [],
        "fold": "all",
        "seed": 0,
    }
    parts = ModelParts(
        experiment=experiment,
        scene_model=scene_model,
        event_model=event_model,
        tagger=tagger,
        scenes=scenes,
        card=write_card(card, scratch),
    )
    return ServedModel(parts)

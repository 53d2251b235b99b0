"""Reads the model card of a SavedModel before its graph is loaded. Imports no TensorFlow.

A SavedModel is a program: its graph may read and write any file of the user. Its author can write
any card, so a card states where a model comes from, and does not prove it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossask import config, stored
from crossask.audio.windows import LEAST_SECONDS
from crossask.errors import CrossaskError, DataError

# Facts without which nothing can be predicted, with their types.
NEEDED = {"scenes": list, "clip_seconds": (int, float), "sample_rate_hz": int}
# Facts of each card that crossask-export writes: the version, and the row.
OURS = ("crossask", "experiment")
# Facts in place of those that a card lacks.
UNKNOWN = {
    "what": "A SavedModel that was not written by crossask",
    "experiment": {
        "system": "unknown system",
        "strategy": "unknown",
        "dataset": "unknown data",
        "model": {"cross_attention": ""},
    },
    "events": [],
    "front_end": {},
    "least_seconds": LEAST_SECONDS,
    "fold": "unknown",
    "seed": "unknown",
}
# Facts by which a model differs from others. The SavedModel and the LiteRT file of a run share it.
IDENTITY = ("scenes", "experiment", "fold", "seed", "trained_on", "training")


def model_digest(card: Mapping[str, Any]) -> str:
    """Returns 16 hexadecimal digits that differ between the models of two runs."""
    return config.digest([card.get(name) for name in IDENTITY])


def check_facts(
    card: Mapping[str, Any],
    path: Path,
    needed: Mapping[str, type | tuple[type, ...]],
    fix: str,
) -> None:
    """Raises CrossaskError unless a card has all needed facts, and numbers are finite and above 0.

    Args:
      card: The model card.
      path: Its path, for the message.
      needed: The names of the facts and their types.
      fix: What to do otherwise, for the message.
    """
    for name, kind in needed.items():
        value = card.get(name)
        if not isinstance(value, kind):
            raise CrossaskError(f"The model card {path} has no {name!r} of the right type.", fix)
        is_number = isinstance(value, int | float)
        # A comparison with NaN is false.
        if is_number and not 0 < value < math.inf:
            raise CrossaskError(f"In the model card {path}, {name!r} is {value}.", fix)


def read_card(folder: Path, trust_model: bool = False) -> dict[str, Any]:
    """Returns the model card of a SavedModel.

    Args:
      folder: Folder of the SavedModel.
      trust_model: Whether the card may come from another program than crossask-export.

    Raises:
      CrossaskError: The folder contains no SavedModel, the card is missing, damaged or, without
        `trust_model`, not from crossask-export, or it lacks a fact that is needed.
    """
    path = folder / "assets" / "model_card.json"
    if not (folder / "saved_model.pb").is_file():
        raise CrossaskError(
            f"{str(folder)!r} is not a model written by crossask-export.",
            "Use the folder that contains saved_model.pb, or a .tflite file.",
        )
    if not path.is_file():
        raise CrossaskError(
            f"{str(folder)!r} is not a model written by crossask-export: it has no model card.",
            f"Export the run again. A SavedModel of another program needs {path} with "
            f"{', '.join(NEEDED)}, and --trust_model.",
        )
    try:
        card = stored.read_json(path, "Export the run again.")
    except DataError as error:
        raise CrossaskError(
            f"The model card {path} cannot be read: {error.problem}", error.fix
        ) from error
    check_facts(card, path, NEEDED, "Export the run again.")
    missing = [name for name in OURS if name not in card]
    if missing and not trust_model:
        raise CrossaskError(
            f"{str(folder)!r} is not a model written by crossask-export: its card has no "
            f"{missing[0]!r}.",
            "A SavedModel is a program, which can read and write your files. If you trust whoever "
            "wrote it, add --trust_model (in Python trust_model=True).",
        )
    # The facts of the card replace the defaults.
    defaults = {"sample_rates_hz": [card["sample_rate_hz"]]} | UNKNOWN
    return defaults | card

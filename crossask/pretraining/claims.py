"""The folder of a pre-training: which one it belongs to. A killed one goes on from it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crossask import stored
from crossask.errors import CrossaskError

FIX = "Restore it from a copy, or remove its folder and pre-train again."


def claim_folder(folder: Path, record: Mapping[str, Any], outputs: Iterable[Path] = ()) -> None:
    """Writes config.json, or checks that the folder already contains this pre-training.

    Args:
      folder: The folder.
      record: Settings of the pre-training, and digests of its clips, as JSON values.
      outputs: The files that the pre-training will write beside the folder.

    Raises:
      CrossaskError: The folder contains another pre-training, or a damaged config.json, or a state
        without one; or one of the outputs is there before the pre-training has begun.
    """
    # JSON has lists in place of tuples.
    record = json.loads(json.dumps(record))
    path = folder / "config.json"
    if not path.exists():
        for output in outputs:
            if output.exists():
                raise CrossaskError(
                    f"{output} exists already, and is not from a pre-training in {folder}.",
                    "Give another --out, or remove it first.",
                )
        state = folder / "checkpoints" / "checkpoint"
        if state.exists():
            raise CrossaskError(
                f"{state} is there without the config.json of its pre-training.",
                "Restore config.json from a copy, or remove that folder.",
            )
        stored.write_json(path, record)
        return
    # Records of older versions lack entries.
    if {**record, **stored.read_json(path, FIX)} != record:
        raise CrossaskError(
            f"{folder} contains another pre-training, with other settings or other clips.",
            "Give another --out, or remove that folder.",
        )

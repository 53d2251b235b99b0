"""The folder of a pre-training, from which a killed one goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossask import files
from crossask.errors import CrossaskError


def claim_folder(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes config.json, or checks that the folder already contains this pre-training.

    Args:
      folder: The folder.
      record: Settings of the pre-training, and digests of its clips, as JSON values.

    Raises:
      CrossaskError: The folder contains another pre-training.
    """
    # JSON has lists in place of tuples.
    record = json.loads(json.dumps(record))
    path = folder / "config.json"
    if not path.is_file():
        files.write_json(path, record)
    elif json.loads(path.read_text()) != record:
        raise CrossaskError(
            f"{folder} contains another pre-training, with other settings or other clips.",
            "Give another --out, or remove that folder.",
        )

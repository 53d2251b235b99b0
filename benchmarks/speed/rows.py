"""The rows of the paper that are measured, in a quick run with narrow networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossask import config

PAPER = f"{Path(__file__).parents[2]}/experiments/dcase2019.py"
NARROW = (
    "model.encoder_channels=(8,16,32,64),model.pooling_dim=64,model.attention_dim=256,"
    "model.event_encoder_channels=(8,8,8,8,8,8,16)"
)


def options(name: str, is_narrow: bool, *overrides: str) -> dict[str, str]:
    """Returns what `read` needs, as JSON can contain it.

    Args:
      name: Name of the row.
      is_narrow: Whether its network is made narrow.
      *overrides: Changes of its fields, "training.batch_size=8".
    """
    changes = [NARROW, *overrides] if is_narrow else list(overrides)
    return {"row": f"{PAPER}:{name}", "overrides": ",".join(changes)}


def read(described: Mapping[str, Any]) -> config.Experiment:
    """Returns the row that `options` described; further keys are ignored."""
    (experiment,) = config.read_experiments(described["row"])
    if not described["overrides"]:
        return experiment
    return config.override(experiment, config.parse_overrides(described["overrides"]))

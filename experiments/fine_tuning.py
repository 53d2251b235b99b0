"""Can fine-tuning work? The paper's strategies, and remedies for its one learning rate.

All rows are CMAM at the demo's scale. Each remedy changes the row "cmam_fine_tuning"; the row
"together" combines some of them. The study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

DEMO = Path(__file__).with_name("demo.py")
FROM_SCRATCH, FEATURE_BASED = config.read_experiments(
    f"{DEMO}:cmam_from_scratch,cmam_feature_based"
)
ONE_RATE = config.override(FROM_SCRATCH, {"name": "cmam_fine_tuning", "strategy": "fine_tuning"})
COSINE = {"training.schedule": "cosine", "training.warmup_epochs": 2}


def remedy(name: str, changes: dict) -> config.Experiment:
    """Returns the row with one learning rate with another name and with `changes`."""
    return config.override(ONE_RATE, {"name": name, **changes})


ROWS = (
    FEATURE_BASED,
    # A schedule may help any row, so a remedy that uses one is compared with this row, too.
    config.override(FEATURE_BASED, {"name": "feature_based_cosine", **COSINE}),
    FROM_SCRATCH,
    ONE_RATE,
    remedy("event_rate", {"fine_tuning.event_rate": 0.1}),
    remedy("layer_decay", {"fine_tuning.layer_decay": 0.5}),
    remedy("probe_first", {"fine_tuning.probe_epochs": 5}),
    remedy("unfreezing", {"fine_tuning.unfreeze_epochs": 1}),
    remedy("warmup_cosine", COSINE),
    remedy("l2_to_start", {"fine_tuning.l2_to_start": 10.0}),
    remedy("ema", {"training.average_decay": 0.98}),
    remedy(
        "together",
        {
            "fine_tuning.event_rate": 0.1,
            "fine_tuning.layer_decay": 0.7,
            "fine_tuning.probe_epochs": 3,
            **COSINE,
        },
    ),
)

"""Fine-tuning the published YAMNet on ambience.py's recordings.

CMAM and JRM with one learning rate for the whole network, as in the paper, and with warm-up and a
cosine schedule: of the remedies in fine_tuning.py, it has the best score on the validation part.
CMAM is also trained from scratch. A backward pass of YAMNet is slow on two CPU cores, so the rows
that train it have 4 epochs (72 steps).
"""

from pathlib import Path

from crossask import config

AMBIENCE = Path(__file__).with_name("ambience.py")
CMAM, JRM = config.read_experiments(f"{AMBIENCE}:cmam_feature_based,jrm_feature_based")
COSINE = {"training.schedule": "cosine", "training.warmup_epochs": 1}
CONSTANT = {"training.schedule": "constant", "training.warmup_epochs": 0}


def trained(row: config.Experiment, name: str, strategy: str, schedule: dict) -> config.Experiment:
    """Returns a row that trains its event model."""
    changes = {"name": name, "strategy": strategy, "training.epochs": 4, **schedule}
    return config.override(row, {**changes, "training.learning_rate": 1e-4})


ROWS = (
    CMAM,
    JRM,
    trained(CMAM, "cmam_fine_tuning", "fine_tuning", CONSTANT),
    trained(CMAM, "cmam_warmup_cosine", "fine_tuning", COSINE),
    trained(JRM, "jrm_fine_tuning", "fine_tuning", CONSTANT),
    trained(JRM, "jrm_warmup_cosine", "fine_tuning", COSINE),
    trained(CMAM, "cmam_from_scratch", "from_scratch", COSINE),
)

"""Can fine-tuning be made to work? CMAM at the demo's scale: the paper's strategies, and remedies for its one learning rate.

Each remedy alone, then some together; everything else is the row "cmam_fine_tuning". Not a part of the reproduction.
"""

import dataclasses
from pathlib import Path

from crossask import config
from crossask.config import FineTuningConfig

_demo = {row.name: row for row in config.read_experiments(str(Path(__file__).with_name("demo.py")))}
PLAIN = dataclasses.replace(
    _demo["cmam_from_scratch"], name="cmam_fine_tuning", strategy="fine_tuning"
)
COSINE = dataclasses.replace(PLAIN.training, schedule="cosine", warmup_epochs=2)


def remedy(
    name: str, tuning: FineTuningConfig = PLAIN.fine_tuning, training=PLAIN.training
) -> config.Experiment:
    return dataclasses.replace(PLAIN, name=name, fine_tuning=tuning, training=training)


ROWS = (
    _demo["cmam_feature_based"],
    # a schedule may help any row: the remedy's measure
    dataclasses.replace(_demo["cmam_feature_based"], name="feature_based_cosine", training=COSINE),
    _demo["cmam_from_scratch"],
    PLAIN,
    remedy("event_rate", FineTuningConfig(event_rate=0.1)),
    remedy("layer_decay", FineTuningConfig(layer_decay=0.5)),
    remedy("probe_first", FineTuningConfig(probe_epochs=5)),
    remedy("unfreezing", FineTuningConfig(unfreeze_epochs=1)),
    remedy("warmup_cosine", training=COSINE),
    remedy("l2_to_start", FineTuningConfig(l2_to_start=10.0)),
    remedy("ema", training=dataclasses.replace(PLAIN.training, average_decay=0.98)),
    remedy("together", FineTuningConfig(event_rate=0.1, layer_decay=0.7, probe_epochs=3), COSINE),
)

"""ESC-10 with the real YAMNet: what fine_tuning.py found at the demo's scale, on real recordings and a whole event model.

Rows that train YAMNet have 6 epochs (108 steps), because its backward pass is dear on two cores. Not a part of the reproduction.
"""

import dataclasses
from pathlib import Path

from crossask import config
from crossask.config import FineTuningConfig

_esc10 = {
    row.name: row for row in config.read_experiments(str(Path(__file__).with_name("esc10.py")))
}
_training = dataclasses.replace(_esc10["cmam_fine_tuning"].training, epochs=6)
PLAIN = dataclasses.replace(_esc10["cmam_fine_tuning"], training=_training)

ROWS = (
    _esc10["cmam_feature_based"],
    PLAIN,
    dataclasses.replace(
        PLAIN,
        name="warmup_cosine",
        training=dataclasses.replace(_training, schedule="cosine", warmup_epochs=1),
    ),
    dataclasses.replace(PLAIN, name="l2_to_start", fine_tuning=FineTuningConfig(l2_to_start=10.0)),
)

"""Does training in half precision cost accuracy? CMAM at the demo's scale, float32 and bfloat16. Not a part of the reproduction."""

import dataclasses
from pathlib import Path

from crossask import config

(_row,) = config.read_experiments(f"{Path(__file__).with_name('demo.py')}:cmam_feature_based")
_half = dataclasses.replace(_row.training, precision="mixed_bfloat16")

ROWS = (_row, dataclasses.replace(_row, name="bfloat16", training=_half))

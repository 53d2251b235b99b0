"""Does training in half precision cost accuracy? CMAM of the demo in float32 and in bfloat16.

The study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

DEMO = Path(__file__).with_name("demo.py")
(CMAM,) = config.read_experiments(f"{DEMO}:cmam_feature_based")

ROWS = (
    CMAM,
    config.override(CMAM, {"name": "bfloat16", "training.precision": "mixed_bfloat16"}),
)

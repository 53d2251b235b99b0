"""A row whose event model scores the demo's clips, for `benchmarks/scene_events_recovery.py`.

The event model is frozen, so the scores do not depend on the training of the scene model, which is
as short as possible. The study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

DEMO = Path(__file__).with_name("demo.py")
(DEMO_ROW,) = config.read_experiments(f"{DEMO}:cmam_feature_based")

ROWS = (config.override(DEMO_ROW, {"name": "scene_events", "training.epochs": 1}),)

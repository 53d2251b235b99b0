"""ESC-10 with YAMNet in float32 and in the 8 bits of its TFLite file. Does the precision matter?

The weights of the TFLite file are read from an .npz, in which they are float32 numbers again, under
the names of `crossask.events.yamnet`. That network computes with ReLU6. The study is not part of
the reproduction.
"""

from pathlib import Path

from crossask import config

ESC10 = Path(__file__).with_name("esc10.py")
(CMAM,) = config.read_experiments(f"{ESC10}:cmam_feature_based")

ROWS = (
    CMAM,
    config.override(CMAM, {"name": "cmam_8_bits", "event_model.activation": "relu6"}),
)

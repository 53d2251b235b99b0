"""FA and a smaller FA on ESC-10, for LiteRT files (`benchmarks/litert_table.py`).

The study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

ESC10 = Path(__file__).with_name("esc10.py")
(ESC10_FA,) = config.read_experiments(f"{ESC10}:fa")
FA = config.override(ESC10_FA, {"folds": ("1",)})

ROWS = (
    FA,
    config.override(
        FA,
        {
            "name": "student",
            "model.encoder_channels": (4, 8, 8, 16),
            "model.pooling_heads": 2,
            "model.pooling_dim": 16,
        },
    ),
)

"""A rehearsal of dcase2019.py: the same rows on soundscapes, small enough for two CPU cores.

The soundscapes have the official names and folds. The networks have one eighth of the channels,
read a quarter of the frames and train for few epochs. The scores say nothing about the paper's.
"""

from pathlib import Path

from crossask import config

DCASE2019 = Path(__file__).with_name("dcase2019.py")
SMALL = {
    "dataset": "soundscapes",
    "paper_score": None,
    "event_model.width": 0.125,
    "event_model.weights": "rehearsal_output/event_model.npz",
    "model.encoder_channels": (8, 16, 32, 64),
    "model.pooling_dim": 128,
    "model.attention_dim": 256,
    "model.event_encoder_channels": (8, 16, 32, 64, 128, 128, 256),
    # The baseline's 0.99 needs more steps than these runs have.
    "model.batch_norm_momentum": 0.9,
    "training.keep_from": 1,
    "training.epochs": 15,
    "training.batch_size": 16,
    "training.learning_rate": 1e-3,
}


def rehearsed(row: config.Experiment) -> config.Experiment:
    """Returns a row of Table 3 at the size of the rehearsal."""
    small = config.override(row, SMALL)
    if row.system == "DCASE2019":
        # The baseline's pools require its own number of frames.
        return small
    return config.override(small, {"features.log_mel.hop_seconds": 0.040})


ROWS = tuple(rehearsed(row) for row in config.read_experiments(str(DCASE2019)))

"""VEM on AudioSet's five labels of places, from published VGGish embeddings.

The clips have exactly one of the five labels and are few (benchmarks/audioset_embeddings.py). The
trunk of the other rows was pre-trained on AudioSet's events without these five labels, but with the
other labels of the same training clips. Clips of rare scenes count more (balanced weights), because
scores are macro accuracies. In the row "vem_equal_weights" all clips count the same.
"""

from pathlib import Path

from crossask import config

TRUNK = Path(__file__).with_name("tut2017_trunk.py")
CHANGES = {"folds": ("eval",), "training.class_weights": "balanced"}
NAMES = ("vem_from_scratch", "vem_feature_based", "vem_fine_tuning", "event_rate", "linear")
FROM_SCRATCH, *OTHERS = [
    config.override(row, CHANGES) for row in config.read_experiments(f"{TRUNK}:{','.join(NAMES)}")
]
EQUAL_WEIGHTS = {"name": "vem_equal_weights", "training.class_weights": "equal"}

ROWS = (FROM_SCRATCH, config.override(FROM_SCRATCH, EQUAL_WEIGHTS), *OTHERS)

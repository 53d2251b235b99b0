"""Compares our VGGish and YAMNet with the published modules that their weights come from.

  python benchmarks/published_modules.py MODULES RECORDING...

MODULES contains vggish_hub/, vggish_model.ckpt and yamnet_hub/. For each recording, the largest
difference of an embedding is printed, as a share of the standard deviation of the module's
embeddings. The front-ends are part of the comparison, because the modules contain their own.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask.audio import read_audio, resample, vggish_patches, yamnet_patches
from crossask.config import catalogue
from crossask.events import VGGish, YAMNet
from crossask.events.weights import from_saved_model

# Both front-ends read the same sample rate.
EVENT_RATE_HZ = catalogue.front_end("vggish").sample_rate_hz


def compare(modules: Path, recordings: list[str]) -> None:
    """Prints the largest difference of each model on each recording.

    Args:
      modules: Folder of the published modules.
      recordings: Paths of sound files.
    """
    published_vggish = tf.saved_model.load(str(modules / "vggish_hub"))
    published_yamnet = tf.saved_model.load(str(modules / "yamnet_hub"))
    vggish_from_hub = VGGish.from_hub(modules / "vggish_hub")
    vggish_from_checkpoint = VGGish.from_checkpoint(modules / "vggish_model.ckpt")
    # Modules of YAMNet have ReLU or ReLU6, and their graphs say which.
    _, activation = from_saved_model(modules / "yamnet_hub")
    yamnet = YAMNet.from_hub(modules / "yamnet_hub", activation=activation or "relu")
    for path in recordings:
        waveform, rate_hz = read_audio(path)
        mono = resample(waveform.mean(1), rate_hz, EVENT_RATE_HZ)

        vggish_embedding = published_vggish(mono).numpy()
        from_hub = vggish_from_hub(vggish_patches(mono)).numpy()
        from_checkpoint = vggish_from_checkpoint(vggish_patches(mono)).numpy()

        _scores, yamnet_embedding, _log_mel = published_yamnet(mono)
        from_yamnet = yamnet(yamnet_patches(mono)).numpy()

        print(
            f"{path}: VGGish SavedModel {_difference(from_hub, vggish_embedding):.1e}, "
            f"VGGish checkpoint {_difference(from_checkpoint, vggish_embedding):.1e}, "
            f"YAMNet {_difference(from_yamnet, yamnet_embedding.numpy()):.1e}"
        )


def main() -> None:
    """Parses the command line and prints the differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", type=Path, help="folder of the published modules")
    parser.add_argument("recordings", nargs="+", help="sound files")
    arguments = parser.parse_args()
    compare(arguments.modules, arguments.recordings)


def _difference(ours: np.ndarray, published: np.ndarray) -> float:
    return float(np.abs(ours - published).max() / published.std())


if __name__ == "__main__":
    main()

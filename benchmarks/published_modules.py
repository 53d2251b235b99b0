"""Our VGGish and YAMNet against calling the modules they were read from, on real recordings.

  python benchmarks/published_modules.py MODULES RECORDING...

MODULES holds vggish_hub/, vggish_model.ckpt and yamnet_hub/ (activation ReLU6). Prints the largest difference as a share of the
deviation of the module's embeddings; the front-ends are compared with it, for the modules hold theirs.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask.audio import read_audio, resample, vggish_patches, yamnet_patches
from crossask.events import VGGish, YAMNet


def difference(ours, theirs) -> float:
    return float(np.abs(ours - theirs).max() / theirs.std())


def main(modules: str, *recordings: str):
    folder = Path(modules)
    called = {
        name: tf.saved_model.load(str(folder / name)) for name in ("vggish_hub", "yamnet_hub")
    }
    vggish = {
        "SavedModel": VGGish.from_hub(folder / "vggish_hub"),
        "checkpoint": VGGish.from_checkpoint(folder / "vggish_model.ckpt"),
    }
    yamnet = YAMNet.from_hub(folder / "yamnet_hub", activation="relu6")
    for path in recordings:
        waveform, rate = read_audio(path)
        mono = resample(waveform.mean(1), rate, 16000)
        theirs = called["vggish_hub"](mono).numpy()
        found = [
            f"VGGish {name} {difference(layer(vggish_patches(mono)).numpy(), theirs):.1e}"
            for name, layer in vggish.items()
        ]
        answer = called["yamnet_hub"](mono)
        found.append(
            f"YAMNet {difference(yamnet(yamnet_patches(mono)).numpy(), answer[1].numpy()):.1e}"
        )
        print(f"{path}: {', '.join(found)}")


if __name__ == "__main__":
    main(*sys.argv[1:])

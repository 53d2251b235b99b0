"""Writes AudioSet's published VGGish embeddings as files for pre-training and for training.

  python benchmarks/audioset_embeddings.py AUDIOSET OUT --pca=vggish_pca_params.npz

AUDIOSET is a folder with bal_train.npz and eval.npz with x [clips, 10, 128] (8 bits), n_patches
[clips], y [clips, 66] (packed bits of the labels) and video_id [clips], and with
class_labels_indices.csv (index, mid, display_name). The script writes into OUT:

  events.npz        Clips and their events, for crossask-pretrain --embeddings. The parts train and
                    val are from the balanced training set, test is the evaluation set. The five
                    labels of SCENES are left out, so the events contain no kind of place.
  scene_labels.npz  The clips with exactly one of these five labels, a corpus for the data set
                    "embeddings" with the parts train, val and eval.

Val is a tenth of the clips, whatever their labels are: those whose SHA-256 of the video's id, read
as a number, is a multiple of 10.

Both files contain the output of VGGish's last layer after a ReLU, as an approximation. The
published values are 8-bit steps of that output after a PCA, clipped to -2..2, without a ReLU before
it. The script inverts the PCA and applies the ReLU; what the clipping cut stays lost. (On
embeddings of TUT 2017 that were brought through clipping and 8 bits and back, the error is 15 % of
their length; 8 bits alone cost 0.5 %.) Before the ReLU, 64 % of the values are negative. Clips with
fewer than 10 patches (2 %) repeat their patches from the first on.
"""

import argparse
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from crossask import stored
from crossask.events.tagger import inverse_of_pca, read_class_map
from crossask.events.vggish import PCA_CLIP, read_pca

TRAINING = "bal_train.npz"
EVALUATION = "eval.npz"
CLASS_MAP = "class_labels_indices.csv"
SCENES = (
    "Inside, small room",
    "Inside, large room or hall",
    "Inside, public space",
    "Outside, urban or manmade",
    "Outside, rural or natural",
)
CLIPS_A_VALIDATION_CLIP = 10


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips of AudioSet.

    Attributes:
      embeddings: VGGish's last layer after a ReLU, float32 [clips, patches, 128].
      has_patch: 1 for a patch, 0 for the filling of a short clip, float32 [clips, patches].
      labels: 1 for a label of the clip, float32 [clips, events].
    """

    embeddings: np.ndarray
    has_patch: np.ndarray
    labels: np.ndarray

    def part(self, selected: np.ndarray) -> "Clips":
        """Returns the selected clips."""
        return Clips(self.embeddings[selected], self.has_patch[selected], self.labels[selected])


def read_clips(path: Path, pca: Path, events: int) -> Clips:
    """Returns the clips of a file of published embeddings, see the top of this file."""
    with np.load(path) as file:
        in_8_bits = file["x"].astype(np.float32)
        patches = file["n_patches"]
        labels = np.unpackbits(file["y"], axis=1)[:, :events]
    projected = in_8_bits / 255 * 2 * PCA_CLIP - PCA_CLIP
    inverse = inverse_of_pca(*read_pca(pca))
    raw = projected @ inverse.matrix + inverse.offset
    has_patch = np.arange(raw.shape[1]) < patches[:, np.newaxis]
    embeddings = np.maximum(raw, 0)
    return Clips(embeddings, has_patch.astype(np.float32), labels.astype(np.float32))


def repeated(clips: Clips) -> np.ndarray:
    """Returns the embeddings, in which the patches of short clips are repeated from the first."""
    patches = clips.has_patch.sum(axis=1).astype(int)  # [clips]
    places = np.arange(clips.embeddings.shape[1])
    numbers = places % patches[:, np.newaxis]  # [clips, patches]
    return np.take_along_axis(clips.embeddings, numbers[..., np.newaxis], axis=1)


def is_validation(video_ids: np.ndarray) -> np.ndarray:
    """Returns whether each clip belongs to the validation part, see the top of this file."""
    chosen = []
    for video_id in video_ids:
        digest = int(hashlib.sha256(str(video_id).encode()).hexdigest(), 16)
        chosen.append(digest % CLIPS_A_VALIDATION_CLIP == 0)
    return np.array(chosen)


def events_file(parts: dict[str, Clips], names: list[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of events.npz.

    Args:
      parts: The clips of train, val and test.
      names: Names of all labels.
    """
    kept = [number for number, name in enumerate(names) if name not in SCENES]
    arrays = {"event_names": np.array([names[number] for number in kept])}
    for part, clips in parts.items():
        arrays[f"{part}_x"] = repeated(clips).astype(np.float16)
        arrays[f"{part}_y"] = clips.labels[:, kept].astype(np.uint8)
    return arrays


def scenes_file(parts: dict[str, Clips], names: list[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of scene_labels.npz.

    Args:
      parts: The clips of train, val and eval.
      names: Names of all labels.
    """
    columns = [names.index(scene) for scene in SCENES]
    arrays = {"class_names": np.array(SCENES)}
    for part, clips in parts.items():
        labels = clips.labels[:, columns]  # [clips, scenes]
        has_one = labels.sum(axis=1) == 1
        arrays[f"{part}_x"] = repeated(clips.part(has_one)).astype(np.float16)
        arrays[f"{part}_y"] = labels[has_one].argmax(axis=1)
    return arrays


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an .npz and prints the sizes of its arrays."""
    stored.write_arrays(path, arrays)
    sizes = [f"{name} {list(array.shape)}" for name, array in arrays.items()]
    print(f"{path}: {', '.join(sizes)}", flush=True)


def main() -> None:
    """Reads the command line and writes both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audioset", type=Path, help="folder of the published embeddings")
    parser.add_argument("out", type=Path, help="folder of the written files")
    parser.add_argument("--pca", type=Path, required=True, help="VGGish's published PCA")
    arguments = parser.parse_args()
    names = read_class_map(arguments.audioset / CLASS_MAP)
    balanced = read_clips(arguments.audioset / TRAINING, arguments.pca, len(names))
    with np.load(arguments.audioset / TRAINING) as file:
        validates = is_validation(file["video_id"])
    training = balanced.part(~validates)
    validation = balanced.part(validates)
    evaluation = read_clips(arguments.audioset / EVALUATION, arguments.pca, len(names))
    events = {"train": training, "val": validation, "test": evaluation}
    write(arguments.out / "events.npz", events_file(events, names))
    scenes = {"train": training, "val": validation, "eval": evaluation}
    write(arguments.out / "scene_labels.npz", scenes_file(scenes, names))


if __name__ == "__main__":
    main()

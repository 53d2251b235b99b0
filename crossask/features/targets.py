"""Targets that a model is trained on: scenes of clips, probabilities of scenes, or labels."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from crossask.datasets import Corpus
from crossask.models.target import Target


@dataclasses.dataclass(frozen=True)
class Labels:
    """Any number of labels for each clip, in place of its scene.

    Attributes:
      names: Names of all labels, in the order of a model's outputs.
      of_clip: Clip id -> numbers of its labels.
    """

    names: tuple[str, ...]
    of_clip: Mapping[str, tuple[int, ...]]


class Targets:
    """The targets of some clips, as constants of a graph.

    Args:
      corpus: The corpus, which contains the scene of each clip.
      clip_ids: The clips.
      soft: Whether a target is probabilities [classes], 1 for the scene, instead of the scene.
      teacher: Clip id -> the teacher's probabilities [classes], or None without a teacher.
      labels: Labels in place of scenes, or None.
    """

    def __init__(
        self,
        corpus: Corpus,
        clip_ids: Iterable[str],
        soft: bool = False,
        teacher: Mapping[str, np.ndarray] | None = None,
        labels: Labels | None = None,
    ):
        self.classes = len(corpus.scenes) if labels is None else len(labels.names)
        self.soft = soft
        scene_of = {clip.id: clip.scene for clip in corpus.clips}
        # A dictionary drops repetitions and keeps the order, which is that of the constants below.
        ids = [clip_id for clip_id in dict.fromkeys(clip_ids) if clip_id in scene_of]
        self.clip_ids = ids
        # Clip id -> its position; -1 for any other clip.
        self.position = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(ids), tf.range(len(ids))),
            default_value=-1,
        )
        number_of = {scene: number for number, scene in enumerate(corpus.scenes)}
        self.scenes = tf.constant([number_of[scene_of[clip_id]] for clip_id in ids], tf.int32)
        self.teacher = None
        if teacher is not None:
            self.teacher = tf.constant([teacher[clip_id] for clip_id in ids], tf.float32)
        self.labels = None
        if labels is not None:
            numbers = [list(labels.of_clip[clip_id]) for clip_id in ids]
            self.labels = tf.ragged.constant(numbers, tf.int32, ragged_rank=1)

    def at(self, position: tf.Tensor) -> tf.Tensor | Target:
        """Returns the target of the clip at a position; see `crossask.features.batches`.

        It is a scene, int32 [], probabilities [classes] or labels [labels]; with a teacher, a
        `Target`.
        """
        if self.labels is not None:
            return tf.reduce_max(tf.one_hot(self.labels[position], self.classes), axis=0)
        scene = tf.gather(self.scenes, position)
        target = tf.one_hot(scene, self.classes) if self.soft else scene
        if self.teacher is not None:
            return Target(target, tf.gather(self.teacher, position))
        return target

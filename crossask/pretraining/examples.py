"""Labelled clips as training examples: their patches in the feature cache, read as batches."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from crossask import config
from crossask.audio import reading
from crossask.config import AugmentationConfig, EventModelConfig, Experiment, catalogue
from crossask.datasets import Clip, Corpus
from crossask.features.batches import EvaluationData, TrainingData
from crossask.features.cache import FeatureCache
from crossask.features.targets import Labels
from crossask.pretraining.labels import LabelledClip

# Clips that are shuffled together. Those of 10 s take 120 MB.
SHUFFLE_BLOCK = 512
# The name of the corpus in messages, and the scene that its clips have instead of labels.
NAME = "labelled events"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Clips with the labels that a tagger learns.

    Attributes:
      corpus: The clips, in one nominal scene.
      cache: Their patches.
      labels: Their labels.
      batch_size: Clips in a batch of all devices.
    """

    corpus: Corpus
    cache: FeatureCache
    labels: Labels
    batch_size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's patches, [P, 96, 64]."""
        return self.cache.shapes["patches"]

    def training(
        self,
        clips: Sequence[LabelledClip],
        seed: int,
        mixup_alpha: float = 0.0,
        is_balanced: bool = False,
    ) -> TrainingData:
        """Returns the batches of the clips to train on.

        Args:
          clips: The clips.
          seed: Seed of the order and of the mixtures.
          mixup_alpha: Clips are mixed in pairs by shares from Beta(alpha, alpha); 0 mixes none.
          is_balanced: Whether clips with rare labels are read more often, see `frequencies`.
        """
        return TrainingData(
            self.cache,
            self.corpus,
            tuple(clip.path for clip in clips),
            config.TrainingConfig(batch_size=self.batch_size, shuffle_buffer=SHUFFLE_BLOCK),
            seed,
            augmentation=AugmentationConfig(mixup_alpha=mixup_alpha),
            labels=self.labels,
            frequencies=frequencies(clips) if is_balanced else None,
        )

    def evaluation(self, clips: Sequence[LabelledClip]) -> EvaluationData:
        """Returns the batches of clips that are read once, in the order of the records."""
        paths = [clip.path for clip in clips]
        return EvaluationData(self.cache, self.corpus, paths, self.batch_size, labels=self.labels)


def row(event_model: EventModelConfig, clip_seconds: float) -> Experiment:
    """Returns a row whose only feature is the patches that an event model reads.

    Args:
      event_model: The event model.
      clip_seconds: Clips are cut or padded with silence to this length.
    """
    front_end = catalogue.event_model(event_model.name).front_end
    features = config.FeatureConfig(
        sample_rate_hz=catalogue.front_end(front_end).sample_rate_hz,
        clip_seconds=clip_seconds,
        max_padding_seconds=clip_seconds,
        max_cut_seconds=reading.ANY_CUT_SECONDS,
    )
    return Experiment(
        name="pretraining",
        system="VEM",
        strategy="from_scratch",
        features=features,
        event_model=event_model,
    )


def corpus_of(clips: Sequence[LabelledClip]) -> Corpus:
    """Returns the clips as a corpus of one nominal scene, without folds."""
    members = [Clip(id=clip.path, path=clip.path, scene=NAME, location="") for clip in clips]
    return Corpus(NAME, (NAME,), tuple(members), folds=())


def labels_of(clips: Sequence[LabelledClip], kinds: Sequence[str]) -> Labels:
    """Returns the labels of the clips as numbers in `kinds`."""
    number_of = {kind: number for number, kind in enumerate(kinds)}
    of_clip = {}
    for clip in clips:
        of_clip[clip.path] = tuple(number_of[label] for label in clip.labels)
    return Labels(tuple(kinds), of_clip)


def frequencies(clips: Sequence[LabelledClip]) -> dict[str, float]:
    """Returns how often each clip is read so that rare labels occur as often as others.

    The frequency of a clip is the sum over its labels of 1 / (clips with that label), as in PSLA
    (Gong et al., arXiv 2102.01243), up to a common factor.
    """
    count: Counter[str] = Counter()
    for clip in clips:
        count.update(clip.labels)
    found = {}
    for clip in clips:
        found[clip.path] = sum(1 / count[label] for label in clip.labels)
    return found

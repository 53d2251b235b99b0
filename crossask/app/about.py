"""Describes a model in sentences: what it is, what it predicts, and what it was trained on."""

from collections.abc import Mapping
from typing import Any

from crossask.config import catalogue
from crossask.report.rows import title_of
from crossask.serving.words import scene_phrase


def sentences(card: Mapping[str, Any]) -> list[str]:
    """Returns what a model is, what it predicts, and how it was trained and evaluated.

    Args:
      card: The model card. Facts that it does not have are said to be unknown.
    """
    return [what_it_is(card), what_it_predicts(card), training_text(card), evaluation_text(card)]


def what_it_is(card: Mapping[str, Any]) -> str:
    """Returns the sentence about the kind of model."""
    return f"{card['what']} ({system_text(card)})."


def what_it_predicts(card: Mapping[str, Any]) -> str:
    """Returns the sentence about the scenes, and about sounds of other places."""
    phrases = [scene_phrase(str(scene)) for scene in card["scenes"]]
    text = (
        f"It predicts one of {len(phrases)} scenes: {', '.join(phrases)}. "
        "For a recording of another place, it still predicts one of them"
    )
    limit = card.get("least_probability", 0.0)
    if limit:
        return f"{text}, but below a probability of {100 * limit:.0f} % it is not sure."
    return f"{text}."


def training_text(card: Mapping[str, Any]) -> str:
    """Returns the sentence about the recordings that the model was trained on."""
    corpus = card.get("trained_on", {})
    recordings = corpus.get("recordings")
    # The starter model lists its recordings. A run has the number of those that the clips of its
    # corpus were cut from, training clips and others.
    if isinstance(recordings, list):
        return f"It was trained on {len(recordings)} recordings."
    dataset = _dataset_title(card["experiment"]["dataset"])
    clips = "an unknown number of clips"
    if "training" in corpus:
        clips = f"{corpus['training']:,} clips"
    return (
        f"It was trained on {clips} of {card['clip_seconds']:g} s: {dataset}, "
        f"fold {card['fold']}, seed {card['seed']}."
    )


def evaluation_text(card: Mapping[str, Any]) -> str:
    """Returns the sentence about the score of the model on recordings it was not trained on."""
    scores = card.get("evaluation")
    if not scores:
        return "How often it is right was not measured before it was exported."
    right = f"it was right for {100 * scores['macro_accuracy']:.1f} % (macro accuracy)"
    if "recordings" in scores:
        return f"On {scores['recordings']} recordings of another collection, {right}."
    clips = f"{scores['clips']:,} clips" if "clips" in scores else "the clips"
    return f"On {clips} of its evaluation fold, {right}."


def system_text(card: Mapping[str, Any]) -> str:
    """Returns the system and the strategy of a model, as reports name them."""
    experiment = card["experiment"]
    return title_of(experiment["system"], experiment["strategy"])


def _dataset_title(name: str) -> str:
    """Returns the title of a data set; a set that another package has added may be unknown here."""
    dataset = catalogue.DATASETS.get(name)
    return name if dataset is None else dataset.title

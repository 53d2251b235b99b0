"""Each entry of a table fulfils its contract, and nothing that fulfils it is missing there.

Shapes, gradients, saving, export and devices of each entry: tests/models and tests/events run over
the same tables. Here: the tables are complete, and their entries work together.
"""

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from crossask import events, models
from crossask.config import ModelConfig, catalogue

PACKAGE = Path(models.__file__).parents[1]
NARROW = ModelConfig(
    encoder_channels=(4, 4, 8, 8),
    pooling_heads=2,
    pooling_dim=8,
    attention_heads=2,
    attention_dim=32,
    vem_pools=((1, 2),) * 4,
    event_encoder_channels=(4, 4, 8),
    event_encoder_pools=((1, 2),) * 3,
)
READING_EVENTS = [name for name in catalogue.SYSTEMS if "embedding" in getattr(models, name).reads]


def derived(folder: str, base: str) -> set[str]:
    """Returns the names of the classes below `folder` that derive from `base`."""
    names = set()
    for path in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                # A base is written as `Base` or as `module.Base`.
                bases = [ast.unparse(found).rpartition(".")[2] for found in node.bases]
                if base in bases:
                    names.add(node.name)
    return names


def in_table(table: dict, attribute: str) -> set[str]:
    return {getattr(entry, attribute).partition(":")[2] for entry in table.values()}


def test_every_scene_model_and_event_model_is_in_its_table():
    assert derived("models", "SceneModel") == in_table(catalogue.SYSTEMS, "model")
    layers = {name: catalogue.EVENT_MODELS[name] for name in catalogue.trainable_event_models()}
    assert derived("events", "EventModel") == in_table(layers, "layer")


def test_every_reader_of_a_corpus_is_in_the_table():
    readers = set()
    for path in (PACKAGE / "datasets").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == "read":
                readers.add(f"crossask.datasets.{path.stem}:read")
    assert readers == {entry.reader for entry in catalogue.DATASETS.values()}


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    inputs = {
        "log_mel": rng.normal(size=(8, 32, 64, 2)).astype(np.float32),
        "patches": rng.normal(size=(8, 2, 96, 64)).astype(np.float32),
    }
    return inputs, np.arange(8) % 3


@pytest.mark.trains
@pytest.mark.parametrize("system", READING_EVENTS)
@pytest.mark.parametrize("name", catalogue.trainable_event_models())
@pytest.mark.parametrize("trainable", [False, True])
def test_every_event_model_in_every_scene_model_learns_eight_clips_and_is_saved(
    clips, tmp_path, system, name, trainable
):
    keras.utils.set_random_seed(0)
    event_model = events.event_model_class(name)(trainable=trainable, width=1 / 32)
    constants = {}
    choices = NARROW
    if not trainable:
        # The embeddings of a frozen, random network are tiny; rows have a field for this.
        values = event_model(clips[0]["patches"]).numpy().reshape(-1, event_model.embedding_size)
        constants = {"embedding_mean": values.mean(0), "embedding_deviation": values.std(0) + 1e-9}
        choices = dataclasses.replace(NARROW, standardise_embedding=True)
    model = models.build(system, 3, choices, event_model=event_model, **constants)
    # A single layer needs longer steps, unless an event model below it learns, too.
    rate = 3e-2 if system == "LINEAR" and not trainable else 3e-3
    model.compile(
        keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model(clips[0])
    before = [value.copy() for value in event_model.get_weights()]
    losses = model.fit(*clips, batch_size=8, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    changed = [
        not np.array_equal(a, b) for a, b in zip(before, event_model.get_weights(), strict=True)
    ]
    assert all(changed) if trainable else not any(changed)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(clips[0]), model(clips[0]))
    assert again.event_model.trainable is trainable
    if not trainable:
        return
    # A SavedModel has the same functions, whether the event model is frozen or not.
    tf.saved_model.save(model, str(tmp_path / "saved"))
    answer = tf.saved_model.load(str(tmp_path / "saved"))(clips[0])
    # graph and eager kernels round differently, and standardising tiny embeddings makes that
    # larger: probabilities, not logits
    np.testing.assert_allclose(
        tf.nn.softmax(answer), tf.nn.softmax(model(clips[0])), rtol=0, atol=1e-5
    )

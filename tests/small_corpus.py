"""A corpus of short noise clips, small enough to train on in a test: class a is low noise, class b is high noise."""

import dataclasses

import numpy as np
import soundfile

from crossask.config import EventModelConfig, Experiment, FeatureConfig, ModelConfig, TrainingConfig

FEATURES = FeatureConfig(
    sample_rate_hz=16000, clip_seconds=2.0, max_padding_seconds=0.5, max_cut_seconds=0.5
)
NARROW = ModelConfig(
    encoder_channels=(4, 4, 8, 8),
    pooling_heads=2,
    pooling_dim=8,
    attention_heads=2,
    attention_dim=32,
    # two patches in two seconds
    vem_pools=((1, 2),) * 4,
    event_encoder_channels=(4, 4, 8),
    event_encoder_pools=((1, 2),) * 3,
)
FA = Experiment(
    "fa",
    dataset="folder",
    features=FEATURES,
    model=NARROW,
    training=TrainingConfig(epochs=3, batch_size=4, learning_rate=1e-3),
)
CMAM = dataclasses.replace(
    FA, name="cmam", system="CMAM", event_model=EventModelConfig(width=0.03125)
)
FEATURE_BASED = dataclasses.replace(CMAM, name="cmam_feature_based", strategy="feature_based")


def write(folder, places=4, clips=3, rate=16000, seconds=2.0):
    """Writes `clips.csv` and wavs: two scenes, `places` locations each, `clips` clips each. Returns the CSV's path."""
    rng = np.random.default_rng(7)
    lines = ["filename,scene,location"]
    for scene, low in (("a", True), ("b", False)):
        for place in range(places):
            for number in range(clips):
                noise = rng.normal(0, 0.1, (round(seconds * rate), 2))
                shaped = (
                    np.cumsum(noise, axis=0) * 0.05 if low else np.diff(noise, axis=0, prepend=0)
                )
                name = f"{scene}{place}{number}.wav"
                folder.mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / name, np.clip(shaped, -1, 1), rate, "PCM_24")
                lines.append(f"{name},{scene},{scene}{place}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


def write_model(folder, row):
    """Trains `row` for one epoch and exports it to folder/model; a frozen event model gets weights and a head for dog and rain."""
    from crossask import config, events, serving, training
    from crossask.datasets import read_corpus
    from crossask.events.tagger import Tagger
    from crossask.features.cache import prepare_features
    from crossask.training import run_folder

    corpus = read_corpus("folder", write(folder / "corpus"))
    row = config.override(row, {"training.epochs": 1})
    if row.event_input == "embedding":
        events.build(row.event_model).save_npz(folder / "events.npz")
        head = np.random.default_rng(0).normal(0, 0.1, (129, 2)).astype(np.float32)
        Tagger(("dog", "rain"), head[:128], head[128], exclusive=True).save_npz(
            folder / "events_tags.npz"
        )
        row = config.override(row, {"event_model.weights": str(folder / "events.npz")})
    run = run_folder.run_at(folder / "runs", row.name, "1", 0)
    training.train(run, row, corpus, prepare_features(corpus, row, folder / "features"))
    return serving.export_run(run, folder / "model")

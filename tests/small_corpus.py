"""A corpus of short noise clips, small enough to train on in a test: class a is low noise, class b is high noise."""

import dataclasses

import numpy as np
import soundfile

from crossask.config import EventModelConfig, Experiment, FeatureConfig, ModelConfig, TrainingConfig

FEATURES = FeatureConfig(sample_rate_hz=16000, clip_seconds=2.0, max_padding_seconds=0.5, max_cut_seconds=0.5)
NARROW = ModelConfig(
    encoder_channels=(4, 4, 8, 8), pooling_heads=2, pooling_dim=8, attention_heads=2, attention_dim=32,
    # two patches in two seconds
    vem_pools=((1, 2),) * 4, event_encoder_channels=(4, 4, 8), event_encoder_pools=((1, 2),) * 3,
)  # fmt: skip
FA = Experiment(
    "fa", dataset="folder", features=FEATURES, model=NARROW, training=TrainingConfig(epochs=3, batch_size=4, learning_rate=1e-3)
)
CMAM = dataclasses.replace(FA, name="cmam", system="CMAM", event_model=EventModelConfig(width=0.03125))
FEATURE_BASED = dataclasses.replace(CMAM, name="cmam_feature_based", strategy="feature_based")


def write(folder, places=4, clips=3, rate=16000, seconds=2.0):
    """Writes `clips.csv` and wavs: two scenes, `places` locations each, `clips` clips each. Returns the CSV's path."""
    rng = np.random.default_rng(7)
    lines = ["filename,scene,location"]
    for scene, low in (("a", True), ("b", False)):
        for place in range(places):
            for number in range(clips):
                noise = rng.normal(0, 0.1, (round(seconds * rate), 2))
                shaped = np.cumsum(noise, axis=0) * 0.05 if low else np.diff(noise, axis=0, prepend=0)
                name = f"{scene}{place}{number}.wav"
                folder.mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / name, np.clip(shaped, -1, 1), rate, "PCM_24")
                lines.append(f"{name},{scene},{scene}{place}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"

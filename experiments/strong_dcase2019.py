"""TAU Urban Acoustic Scenes 2019, official fold: a modern recipe, without and with events.

The rows have full size. They are not part of the reproduction, and they have not been run. The goal
without other data is 82 %, which a residual network of McDonnell and Gao (2020) reaches on this
fold. network.py and strong.py try each part alone at the demo's scale.
"""

from crossask.config import (
    AugmentationConfig,
    EventModelConfig,
    Experiment,
    FeatureConfig,
    LogMelConfig,
    ModelConfig,
    TrainingConfig,
)

COMMON = {
    "dataset": "tau2019",
    "features": FeatureConfig(
        sample_rate_hz=48000,
        log_mel=LogMelConfig(window_seconds=0.040, hop_seconds=0.020, mel_bins=128, fft_size=4096),
    ),
    "event_model": EventModelConfig(name="vggish", weights="https://tfhub.dev/google/vggish/1"),
    # The channels of McDonnell and Gao's network, in each half of the band.
    "model": ModelConfig(
        encoder="residual", split_band=True, deltas=True, encoder_channels=(24, 48, 96, 192)
    ),
    # The learning rate falls six times, over 2, 4, 8, 16, 32 and 64 epochs.
    "training": TrainingConfig(
        epochs=126,
        learning_rate=1e-3,
        validation_share=0.1,
        schedule="warm_restarts",
        restart_epochs=2,
    ),
    "augmentation": AugmentationConfig(
        mixup_alpha=0.3,
        time_masks=2,
        time_mask_frames=50,
        frequency_masks=2,
        frequency_mask_bins=16,
        time_roll=True,
        swap_channels=True,
    ),
}

ROWS = (
    Experiment("strong_fa", system="FA", strategy="from_scratch", **COMMON),
    Experiment("strong_cmam", system="CMAM", strategy="feature_based", **COMMON),
)

"""Sound files to waveforms, waveforms to log-mel spectrograms and patches.

The names below are imported when they are first used, so that reading needs no TensorFlow.
"""

from crossask import lazy

_MODULES = {
    "SAMPLE_RATES_HZ": "crossask.audio.rates",
    "fill_window": "crossask.audio.windows",
    "fit_length": "crossask.audio.reading",
    "log_mel_spectrogram": "crossask.audio.frontends",
    "read_audio": "crossask.audio.reading",
    "read_blocks": "crossask.audio.reading",
    "resample": "crossask.audio.resampling",
    "scene_log_mel": "crossask.audio.frontends",
    "sliding_windows": "crossask.audio.windows",
    "vggish_patches": "crossask.audio.frontends",
    "yamnet_patches": "crossask.audio.frontends",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)

"""Sound files to waveforms, waveforms to log-mel and patches. Reading needs no TensorFlow; it is imported with the first front-end."""

import importlib

_HOMES = {
    "read_audio": "reading",
    "read_blocks": "reading",
    "sliding_windows": "reading",
    "fit_length": "reading",
    "resample": "resampling",
    "SAMPLE_RATES_HZ": "resampling",
    "log_mel_spectrogram": "frontends",
    "scene_log_mel": "frontends",
    "vggish_patches": "frontends",
    "yamnet_patches": "frontends",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"crossask.audio.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

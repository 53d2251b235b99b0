"""Sound files to waveforms, at the file's own rate. Imports no TensorFlow."""

from pathlib import Path

import numpy as np
import soundfile

from crossask.config import FeatureConfig
from crossask.errors import AudioError


def read_audio(path) -> tuple[np.ndarray, int]:
    """Reads WAV (16, 24, 32 bit, float), FLAC, OGG or MP3.

    Returns:
      (waveform float32 [samples, channels] in -1..1, sample rate in Hz); 1 or 2 channels.

    Raises:
      AudioError: the file is missing, empty, not a sound file, has more than two channels or samples that are no numbers.
    """
    if not Path(path).is_file():
        raise AudioError(f"There is no file {str(path)!r}.", "Check the path.")
    try:
        waveform, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(f"{path} cannot be read as sound ({error}).", "Give WAV, FLAC, OGG or MP3.") from error
    if waveform.shape[0] == 0:
        raise AudioError(f"{path} holds no samples.", "Record it again, or leave it out.")
    if waveform.shape[1] > 2:
        raise AudioError(f"{path} has {waveform.shape[1]} channels.", "Mix it down to one or two.")
    if not np.isfinite(waveform).all():
        raise AudioError(f"{path} holds samples that are no finite numbers.", "Write the file again.")
    return waveform, rate


def fit_length(waveform: np.ndarray, sample_rate_hz: int, features: FeatureConfig, path="the waveform") -> tuple[np.ndarray, str]:
    """The waveform [samples, channels] at exactly clip_seconds: silence added or samples cut at its end.

    Returns:
      (waveform, what was done: "", "padded" or "cut").

    Raises:
      AudioError: it is shorter or longer by more than the configuration allows.
    """
    wanted = round(features.clip_seconds * sample_rate_hz)
    missing = wanted - len(waveform)
    allowed = features.max_padding_seconds if missing > 0 else features.max_cut_seconds
    if abs(missing) > allowed * sample_rate_hz:
        field = "features.max_padding_seconds" if missing > 0 else "features.max_cut_seconds"
        raise AudioError(
            f"{path} lasts {len(waveform) / sample_rate_hz:.3f} s instead of {features.clip_seconds:g} s.",
            f"Mend the file, or raise {field} (now {allowed:g}).",
        )
    if missing > 0:
        return np.pad(waveform, ((0, missing), (0, 0))), "padded"
    return waveform[:wanted], "cut" if missing else ""

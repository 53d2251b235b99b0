"""Sound files to both features, the log-mel and the patches of VGGish, by four programs."""

from collections.abc import Iterator
from typing import Any

from crossask.audio import frontends
from crossask.config import LogMelConfig, catalogue
from speed import recordings, rows, tables
from speed.setup import Setup

ROW = rows.options("cmam_from_scratch", is_narrow=False)
UNIT = "file"
# Both log-mels have values of about -5. Patches follow a resampler, and each has its own.
TOLERANCES = {"log_mel": 1e-5, "patches": 1e-3}
EVENT_RATE_HZ = catalogue.front_end("vggish").sample_rate_hz


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each work with its figures on one core and on all cores."""
    folder = setup.folder("features")
    paths = recordings.write(folder, count=1 if setup.short else 4)
    options = {
        **ROW,
        **peer_options(),
        "patch_frames": frontends.PATCH_FRAMES,
        "paths": paths,
        "folder": str(folder),
    }
    sides = [
        setup.ours("features", options),
        setup.ours("plain_tensorflow", options, name="tf.signal"),
        setup.peer("librosa", "librosa_features", options),
        setup.peer("PyTorch", "torch_features", options),
    ]
    yield "files to features", setup.compare(sides, TOLERANCES)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    return tables.comparisons(figures, UNIT)


def peer_options() -> dict[str, Any]:
    """Returns the log-mels of the scene branch and of VGGish in numbers, as peers read them."""
    features = rows.read(ROW).features
    return {
        "scene": _in_numbers(features.log_mel, features.sample_rate_hz),
        "event": _in_numbers(frontends.VGGISH_LOG_MEL, EVENT_RATE_HZ),
    }


def _in_numbers(log_mel: LogMelConfig, rate_hz: int) -> dict[str, Any]:
    return {
        "rate_hz": rate_hz,
        "window": round(log_mel.window_seconds * rate_hz),
        "hop": round(log_mel.hop_seconds * rate_hz),
        "fft_size": log_mel.fft_size,
        "mel_bins": log_mel.mel_bins,
        "min_hz": log_mel.min_hz,
        "max_hz": log_mel.max_hz or rate_hz / 2,
        "spectrum": log_mel.spectrum,
        "log_offset": log_mel.log_offset,
    }

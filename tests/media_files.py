"""Writes small files of formats that libsndfile does not read, with PyAV. Skips without PyAV."""

from pathlib import Path

import numpy as np
import pytest


def write(
    path: Path,
    waveform: np.ndarray,
    rate: int,
    codec: str,
    layout: str = "",
    bit_rate: int | None = None,
    pause_seconds: float = 0.0,
    **options: str,
) -> Path:
    """Writes a waveform [samples, channels] and returns the path; the suffix is the format.

    Args:
      path: Path of the file.
      waveform: Waveform in -1..1; written from 16 bits.
      rate: Sample rate in Hz.
      codec: FFmpeg's name of the codec.
      layout: FFmpeg's name of the channels; "" is mono or stereo.
      bit_rate: Bits a second of the codec; None is its default.
      pause_seconds: Time between the two halves of the waveform, as of a paused recorder.
      **options: Options of the container.
    """
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'crossask[media]'")
    layout = layout or {1: "mono", 2: "stereo"}[waveform.shape[1]]
    samples = np.round(waveform * 32768).astype(np.int16)
    # A multiple of the lengths of frames, so that the pause is between two packets.
    half = len(samples) // 2 // 8192 * 8192 if pause_seconds else len(samples)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        packets = []
        for start, piece in ((0, samples[:half]), (half, samples[half:])):
            if not len(piece):
                continue
            frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout=layout)
            frame.sample_rate = rate
            # With a time, the container records the samples that only start the decoder.
            frame.pts = start + (round(pause_seconds * rate) if start else 0)
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            container.mux(packet)
    return path


def write_silent_video(path: Path) -> None:
    """Writes a video without a sound track."""
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'crossask[media]'")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))

"""Reads files that libsndfile does not read, with PyAV (FFmpeg): m4a, WebM, sound of videos.

PyAV is optional (the extra `media`) and is imported when the first such file is opened.
"""

import contextlib
import ctypes
import enum
import fractions
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from crossask.audio import caf, channels, notices, ogg
from crossask.errors import AudioError

if TYPE_CHECKING:
    import av

# FFmpeg's readers of files that contain sound. Others, such as those of playlists, could open
# further files or addresses that a recording from somebody else names.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,loas,matroska,webm,"
    "mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,ogg,tta,voc,w64,wav,wv"
)
# Those in which a file is a mere sequence of frames, whose length FFmpeg guesses from its bit rate.
_WITHOUT_HEADER = (
    "aac",
    "ac3",
    "amr",
    "amrnb",
    "amrwb",
    "dts",
    "dtshd",
    "eac3",
    "loas",
    "mp3",
    "mpeg",
    "mpegts",
)
# FFmpeg's name of the reader of files in which a pause cannot be seen without reading all of it.
_WITH_PAUSES = "matroska,webm"
# FFmpeg's name of the reader of m4a, mp4, mov and 3gp, whose index has the times of all packets.
_WITH_INDEX = "mov,mp4,m4a,3gp,3g2,mj2"
# FFmpeg's decoders of Opus, whose packets in Ogg have exact times.
_EXACT_IN_OGG = ("opus", "libopus")
# Codecs without compression, whose packets have any length.
_UNCOMPRESSED = "pcm_"
# Codecs whose samples are differences from those before, so that none can be left out.
_OF_DIFFERENCES = ("adpcm", "g722", "g726")
# The format of Windows Media, in which FFmpeg gives each stream the length of all of them.
_WITH_ONE_LENGTH = "asf"
# FFmpeg's names of channels in the order of their bits in a mask.
_ORDER_OF_MASK = (
    "FL",
    "FR",
    "FC",
    "LFE",
    "BL",
    "BR",
    "FLC",
    "FRC",
    "BC",
    "SL",
    "SR",
    "TC",
    "TFL",
    "TFC",
    "TFR",
    "TBL",
    "TBC",
    "TBR",
    "DL",
    "DR",
    "WL",
    "WR",
    "SDL",
    "SDR",
    "LFE2",
    "TSL",
    "TSR",
    "BFC",
    "BFL",
    "BFR",
    "SSL",
    "SSR",
    "TTL",
    "TTR",
    "BINL",
    "BINR",
)
# Names of channels of unknown places, and the start of those of Ambisonics.
_UNKNOWN = "NONE"
_AMBISONIC = "AMBI"
# The decoder starts this much before a wanted sample, so that it has all that it needs for it.
_SECONDS_BEFORE = 1
# To decode and drop more than this takes seconds, for each clip behind it.
_LONG_SECONDS = 600
# Samples as float32 from -1 to 1, all channels in one array. For more than eight arrays, PyAV reads
# memory outside of the frame.
_FLOAT = "flt"


class _Spacing(enum.Enum):
    """Whether all packets of a file are one length apart."""

    EVEN = enum.auto()
    UNEVEN = enum.auto()
    UNKNOWN = enum.auto()


class MediaFile:
    """The first audio stream of a media file; its members are those of `sndfile.SoundFile`.

    Frames are decoded when they are read, so that memory does not grow with the length.

    Attributes:
      samplerate: Sample rate in Hz.
      channels: Number of channels.
      front_pair: Numbers of the channels front left and front right; None if they are unknown.
      remark: What is unusual about the file, as the end of a sentence about it; or "".
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Opens a file and decodes its first frame, which has the true format of the stream.

        Args:
          path: Path of the file.

        Raises:
          AudioError: The file contains no sound, or FFmpeg does not read it.
          ImportError: PyAV is not installed.
        """
        import av

        self.remark = ""
        self._name = path
        # Of several streams one after the other, FFmpeg knows the length and the times of one.
        self._is_chain = ogg.is_chain(path)
        # The resampler only converts the samples to floats. It is replaced where the format of the
        # stream changes, and then also converts the rest to the first rate and channels.
        self._resampler: av.AudioResampler | None = None
        self._resampler_input: tuple[Any, ...] = ()
        # Time of the first frame that was decoded since the file was opened or moved in.
        self._first_time: int | None = None
        self._frames = self._decoded()
        with _problems_raised(self._name):
            # An absolute path cannot be mistaken for a protocol of FFmpeg such as "concat:".
            self._container = av.open(
                os.path.abspath(path),
                options={"format_whitelist": _CONTAINERS},
                # Titles and comments in another encoding than UTF-8 are not read.
                metadata_errors="ignore",
            )
        if not self._container.streams.audio:
            self.close()
            raise AudioError(f"{path} contains no sound.", "Use a recording with an audio track.")
        order = _order_of_its_own(self._container.streams.audio[0])
        if order:
            self.close()
            raise AudioError(
                f"{path} has the channels {order} in this order, which PyAV cannot read.",
                "Convert it to WAV or FLAC, for example with ffmpeg -i X.mov X.wav.",
            )
        try:
            first = next(self._frames, None)
        except AudioError:
            self.close()
            raise
        if first is None:
            self.close()
            raise AudioError(f"{path} contains no samples.", "Record it again, or leave it out.")
        self.samplerate = first.sample_rate
        self.channels = len(first.layout.channels)
        self.front_pair = channels.front_pair_of_names(
            [channel.name for channel in first.layout.channels]
        )
        # Decoded samples that have not been read yet, [samples, channels].
        self._kept = _columns(first)
        self._start_time = self._first_time

    def __enter__(self) -> "MediaFile":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Length according to the file's header, or FFmpeg's estimate of it; 0 if it is unknown."""
        if self._is_chain:
            return 0.0
        stream = self._container.streams.audio[0]
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        # The length of all streams; FFmpeg counts it in microseconds.
        return (self._container.duration or 0) / 1e6

    @property
    def has_exact_seconds(self) -> bool:
        """Whether `seconds` is in the header, and that of the samples.

        It is estimated in files without one. In Matroska, it may contain pauses.
        """
        return self._has_seconds and self._container.format.name != _WITH_PAUSES

    @property
    def _has_seconds(self) -> bool:
        """Whether `seconds` is in the header.

        Some headers have only the length of all streams, which may be that of the video.
        """
        streams = self._container.streams
        form = self._container.format.name
        is_of_all_streams = streams.audio[0].duration is None or form == _WITH_ONE_LENGTH
        if is_of_all_streams and len(streams) > 1:
            return False
        # The length contains pauses, in which there are no samples.
        if self._spacing() is _Spacing.UNEVEN:
            return False
        return self.seconds > 0 and form not in _WITHOUT_HEADER

    @property
    def has_gaps(self) -> bool:
        """Whether samples of 17 to 24 bits take 4 bytes each, which FFmpeg reads wrongly in CAF."""
        return self._container.format.name == "caf" and caf.has_gaps(self._name)

    @property
    def promised_seconds(self) -> float:
        """Length that the file should have; 0 if it is not in its header."""
        return self.seconds if self._has_seconds else 0.0

    def close(self) -> None:
        """Closes the file."""
        self._frames.close()
        self._container.close()

    def move_to(self, sample: int) -> None:
        """Moves to a sample; called before the first `read`.

        If the file counts its time in samples (m4a, mp4, mov, 3gp) and has no pauses, decoding
        starts a second before the sample. Otherwise all samples before it are decoded and dropped,
        because the times do not lead to an exact sample.

        AAC may replace noise by random numbers, which depend on where decoding starts.
        """
        left = sample - self._jump(sample - _SECONDS_BEFORE * self.samplerate)
        if left > _LONG_SECONDS * self.samplerate:
            notices.log_once(
                "decoded from its start",
                logging.INFO,
                "%s is decoded from its start for each clip, which takes long. Convert such "
                "recordings to WAV, FLAC or m4a. Others are not logged.",
                self._name,
            )
        while left > 0:
            skipped = self.read(min(left, self.samplerate))
            if len(skipped) == 0:
                return
            left -= len(skipped)

    def read(self, samples: int) -> np.ndarray:
        """Returns the next samples, float32 [samples, channels]; fewer at the end.

        Args:
          samples: Number of samples.

        Raises:
          AudioError: The file is damaged.
        """
        pieces = [self._kept]
        count = len(self._kept)
        while count < samples:
            frame = next(self._frames, None)
            if frame is None:
                break
            piece = _columns(frame)
            pieces.append(piece)
            count += len(piece)
        waveform = np.concatenate(pieces)
        self._kept = waveform[samples:].copy()
        return np.ascontiguousarray(waveform[:samples])

    def _jump(self, samples: int) -> int:
        """Moves to a frame at or before a sample if that is exact; returns its first sample."""
        stream = self._container.streams.audio[0]
        counts_samples = stream.time_base == fractions.Fraction(1, self.samplerate)
        if samples <= 0 or not counts_samples or self._start_time is None or self._is_chain:
            return 0
        if stream.codec_context.name.startswith(_OF_DIFFERENCES):
            return 0
        form = self._container.format.name
        if form == _WITH_INDEX and self._spacing() is not _Spacing.EVEN:
            return 0
        # A page of Ogg has the time of its end alone. In FLAC, FFmpeg starts to count at others.
        if form == "ogg" and stream.codec_context.name not in _EXACT_IN_OGG:
            return 0
        self._frames.close()
        self._frames = self._decoded()
        self._first_time = None
        with _problems_raised(self._name):
            self._container.seek(self._start_time + samples, stream=stream)
        frame = next(self._frames, None)
        self._kept = self._kept[:0] if frame is None else _columns(frame)
        if self._first_time is None:
            # There are no frames behind this sample.
            return samples
        return self._first_time - self._start_time

    def _spacing(self) -> _Spacing:
        """Returns how the packets of an m4a or mp4 follow each other; UNKNOWN for other files.

        A recorder that was paused, or that lost samples, leaves a gap in the times.
        """
        stream = self._container.streams.audio[0]
        if self._container.format.name != _WITH_INDEX:
            return _Spacing.UNKNOWN
        if stream.codec_context.name.startswith(_UNCOMPRESSED):
            return _Spacing.EVEN
        entries = getattr(stream, "index_entries", None)
        if entries is None:
            # Earlier versions of PyAV do not return the index.
            return _Spacing.EVEN
        if len(entries) < 2:
            return _Spacing.UNKNOWN
        first = entries[0].timestamp
        last = entries[-1].timestamp
        step = entries[1].timestamp - first
        if last - first != step * (len(entries) - 1):
            return _Spacing.UNEVEN
        # FFmpeg may know a part of the packets of a file in fragments.
        is_whole = stream.duration is not None and last + 2 * step >= stream.duration
        return _Spacing.EVEN if is_whole else _Spacing.UNKNOWN

    def _decoded(self) -> Iterator["av.AudioFrame"]:
        """Yields the frames of the stream with float samples, one rate and one layout."""
        stream = self._container.streams.audio[0]
        with _problems_raised(self._name):
            for frame in self._container.decode(stream):
                if self._first_time is None:
                    self._first_time = frame.pts
                yield from self._converted(frame)

    def _converted(self, frame: "av.AudioFrame") -> list["av.AudioFrame"]:
        """Returns a frame with float samples; there may be none yet, or more than one."""
        import av

        frame_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None:
            self._resampler = av.AudioResampler(_FLOAT, frame.layout, frame.sample_rate)
        elif frame_format != self._resampler_input:
            first = self._resampler
            self._resampler = av.AudioResampler(_FLOAT, first.layout, first.rate)
        self._resampler_input = frame_format
        return self._resampler.resample(frame)


def _order_of_its_own(stream: "av.AudioStream") -> str:
    """Returns the channels of a stream if they are in no order of FFmpeg's masks; else "".

    FFmpeg has a list of such channels. With each frame, PyAV 18 frees it twice, which ends this
    process.
    """
    if stream.codec_context is None:
        # There is no decoder for it, which is an error where it is decoded.
        return ""
    layout = stream.codec_context.layout
    # With one more reference, the layout does not free the list, which belongs to the stream.
    reference = ctypes.py_object(layout)
    ctypes.pythonapi.Py_IncRef(reference)
    names = [channel.name for channel in layout.channels]
    places = [name for name in names if not name.startswith((_UNKNOWN, _AMBISONIC))]
    in_order = [name for name in _ORDER_OF_MASK if name in places]
    if places != in_order:
        return ", ".join(names)
    ctypes.pythonapi.Py_DecRef(reference)
    return ""


def _columns(frame: "av.AudioFrame") -> np.ndarray:
    """Returns the samples of a frame, float32 [samples, channels]."""
    return frame.to_ndarray().reshape(-1, len(frame.layout.channels))


@contextlib.contextmanager
def _problems_raised(name: str | os.PathLike[str]) -> Iterator[None]:
    """Raises FFmpeg's errors as AudioError."""
    import av

    try:
        yield
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(
            f"{name} cannot be read as sound: it is damaged, or no recording (FFmpeg: "
            f"{reason.rstrip('.')}).",
            "Copy or record it again, or convert it to WAV or FLAC.",
        ) from error

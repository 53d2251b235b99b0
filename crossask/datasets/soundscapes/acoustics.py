"""Rooms and ears: from a mono source at a distance and direction to two microphones at a head.

The direct sound and the first reflections differ between the ears in time (Woodworth's sphere) and
in level (the shadow of the head, one pole and one zero, Brown and Duda 1998). The late field is
diffuse noise that decays exponentially, faster at high frequencies.

Azimuths are in radians: 0 is ahead, pi/2 is right.
"""

import dataclasses
import functools

import numpy as np
from scipy import fft, signal

HEAD_METRES = 0.0875
SOUND_METRES_PER_S = 343.0
# Time from the surface of the head to its centre.
CENTRE_S = HEAD_METRES / SOUND_METRES_PER_S
# Distance at which an event has its nominal level.
REFERENCE_METRES = 4.0
# Level falls with this power of the distance. Nature's is 1; recordings vary less.
DISTANCE_POWER = 0.6
# The late field is rendered until it has decayed by this much.
TAIL_DB = 45.0
REFLECTIONS = 5
# A reflection at the ear on the far side, relative to the ear on its side.
FAR_EAR_GAIN = 0.7
# Points in time at which the direction of a moving source is computed.
DIRECTIONS = 65

LEFT = 0
RIGHT = 1

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class RoomRanges:
    """Ranges that a family's rooms are drawn from.

    Attributes:
      rt60_s: Reverberation time at low frequencies.
      critical_metres: See `Room`.
      delay_s: Delay of a reflection.
      gain: Magnitude of a reflection's gain.
    """

    rt60_s: Range
    critical_metres: Range
    delay_s: Range
    gain: Range


# The families are those of `backgrounds.FAMILIES`.
FAMILIES = {
    "hall": RoomRanges((0.7, 1.7), (3.0, 9.0), (0.008, 0.06), (0.1, 0.4)),
    "vehicle": RoomRanges((0.15, 0.4), (1.5, 5.0), (0.002, 0.012), (0.2, 0.55)),
    "open": RoomRanges((0.25, 0.9), (9.0, 40.0), (0.01, 0.09), (0.03, 0.25)),
}


@dataclasses.dataclass(frozen=True)
class Reflection:
    """An early reflection of the direct sound.

    Attributes:
      delay_s: Delay after the direct sound.
      gain: Gain; negative if the phase is inverted.
      azimuth: Direction it comes from.
    """

    delay_s: float
    gain: float
    azimuth: float


@dataclasses.dataclass(frozen=True)
class Room:
    """The acoustics of a location.

    Attributes:
      rt60_s: Reverberation time at low frequencies.
      rt60_high_s: Reverberation time above 2 kHz.
      critical_metres: Distance at which the late field is as strong as the direct sound.
      reflections: The early reflections.
      tail_seed: Seed of the noise of the late field.
    """

    rt60_s: float
    rt60_high_s: float
    critical_metres: float
    reflections: tuple[Reflection, ...]
    tail_seed: int


def draw_room(rng: np.random.Generator, family: str) -> Room:
    """Draws the acoustics of a location.

    Args:
      rng: Random numbers; the order of the draws is part of the corpus.
      family: One of `FAMILIES`.
    """
    ranges = FAMILIES[family]
    rt60_s = rng.uniform(*ranges.rt60_s)
    reflections = []
    for _ in range(REFLECTIONS):
        delay_s = rng.uniform(*ranges.delay_s)
        gain = rng.choice([-1, 1]) * rng.uniform(*ranges.gain)
        azimuth = rng.uniform(-np.pi, np.pi)
        reflections.append(Reflection(float(delay_s), float(gain), float(azimuth)))
    return Room(
        rt60_s=float(rt60_s),
        rt60_high_s=float(rt60_s * rng.uniform(0.4, 0.75)),
        critical_metres=float(rng.uniform(*ranges.critical_metres)),
        reflections=tuple(reflections),
        tail_seed=int(rng.integers(2**31)),
    )


def ear_delays_s(azimuth: np.ndarray) -> np.ndarray:
    """Returns how much later sound arrives at each ear than at the centre of the head.

    Args:
      azimuth: Directions of the sources, [...].

    Returns:
      Delays in seconds at the left and the right ear, [..., 2]; negative at the ear that faces the
      source (Woodworth's sphere).
    """
    incidence = _incidence(azimuth)
    near = -np.cos(incidence)
    far = incidence - np.pi / 2
    return CENTRE_S * np.where(incidence < np.pi / 2, near, far)


def head_shadow(frequency_hz: np.ndarray, azimuth: float) -> np.ndarray:
    """Returns the response of the head's shadow at each ear (Brown and Duda 1998, eq. 3).

    Args:
      frequency_hz: Frequencies, [frequencies].
      azimuth: Direction of the source.

    Returns:
      Complex response at the left and the right ear, [2, frequencies].
    """
    incidence = _incidence(azimuth)
    # 2 if the ear faces the source, 0.1 if it is behind the head.
    alpha = 1.05 + 0.95 * np.cos(incidence / np.radians(150) * np.pi)
    # j omega / (2 omega_0) with omega_0 = speed of sound / radius of the head.
    ratio = 1j * np.pi * frequency_hz * HEAD_METRES / SOUND_METRES_PER_S
    return (1 + alpha[:, np.newaxis] * ratio) / (1 + ratio)


def air_absorption(frequency_hz: np.ndarray, metres: float) -> np.ndarray:
    """Returns the amplitude, 0..1, that is left after a distance in air.

    The loss is about 0.1 dB/m at 8 kHz and rises with the square of the frequency.
    """
    return 10 ** (-0.1 * metres * (frequency_hz / 8000) ** 2 / 20)


def binaural(
    wave: np.ndarray,
    sample_rate_hz: int,
    room: Room,
    metres: float,
    start_azimuth: float,
    end_azimuth: float,
) -> np.ndarray:
    """Renders the direct sound and the early reflections of a source at two ears.

    Args:
      wave: The source, [samples].
      sample_rate_hz: Sample rate in Hz.
      room: The room.
      metres: Distance of the source.
      start_azimuth: Direction of the source at the start.
      end_azimuth: Direction of the source at the end.

    Returns:
      Waveform at the left and the right ear, float32 [2, samples + tail].
    """
    longest_s = max(reflection.delay_s for reflection in room.reflections) + 0.002
    samples = len(wave) + round(longest_s * sample_rate_hz)
    size = fft.next_fast_len(samples, real=True)
    moves = start_azimuth != end_azimuth
    # The head's shadow is that of the mean direction, also for a moving source.
    azimuth = (start_azimuth + end_azimuth) / 2
    response = _response(sample_rate_hz, size, metres, azimuth, has_delays=not moves)
    spectrum = fft.rfft(wave.astype(np.float32), size) * response
    ears = fft.irfft(spectrum, size, axis=-1, overwrite_x=True)[:, :samples]
    if moves:
        ears = _delayed(ears, sample_rate_hz, start_azimuth, end_azimuth)
    out = ears.copy()
    for reflection in room.reflections:
        _add_reflection(out, ears, sample_rate_hz, reflection)
    out *= np.float32((REFERENCE_METRES / metres) ** DISTANCE_POWER)
    return out


def late_field_gain(room: Room, metres: float) -> float:
    """Returns the gain with which a source enters the late field.

    Relative to the direct sound, it rises with the distance.
    """
    direct = (REFERENCE_METRES / metres) ** DISTANCE_POWER
    return direct * metres / room.critical_metres / (1 + 0.5 * metres / room.critical_metres)


@functools.lru_cache(maxsize=4)
def late_field(room: Room, sample_rate_hz: int) -> np.ndarray:
    """Returns the impulse response of the late field at two ears.

    Returns:
      Waveform, float32 [2, samples], of unit energy at each ear.
    """
    samples = _tail_samples(room, sample_rate_hz)
    t = np.arange(samples) / sample_rate_hz
    rng = np.random.default_rng(room.tail_seed)
    white = rng.standard_normal((2, samples))
    sections = signal.butter(1, 2000, "lowpass", fs=sample_rate_hz, output="sos")
    low = signal.sosfilt(sections, white)
    high = white - low
    tail = low * 10 ** (-3 * t / room.rt60_s) + 0.5 * high * 10 ** (-3 * t / room.rt60_high_s)
    # The late field builds up over 10 ms.
    tail *= np.minimum(1, t / 0.01)
    energy = np.sum(tail**2, axis=1, keepdims=True)
    return (tail / np.sqrt(energy)).astype(np.float32)


def reverberate(send: np.ndarray, sample_rate_hz: int, room: Room) -> np.ndarray:
    """Renders the late field of all sources.

    Args:
      send: Sum of the sources, each with its `late_field_gain`, [samples].
      sample_rate_hz: Sample rate in Hz.
      room: The room.

    Returns:
      Waveform at the left and the right ear, float32 [2, samples].
    """
    size = fft.next_fast_len(len(send) + _tail_samples(room, sample_rate_hz), real=True)
    spectrum = fft.rfft(send.astype(np.float32), size) * _tail_spectrum(room, sample_rate_hz, size)
    return fft.irfft(spectrum, size, overwrite_x=True)[:, : len(send)]


def _incidence(azimuth: np.ndarray | float) -> np.ndarray:
    """Returns the angle between the source and the axis of each ear, [..., 2]."""
    right = np.sin(azimuth)
    return np.arccos(np.clip(np.stack([-right, right], -1), -1, 1))


def _response(
    sample_rate_hz: int, size: int, metres: float, azimuth: float, has_delays: bool
) -> np.ndarray:
    """Returns the response of air and head at each ear, complex64 [2, size // 2 + 1].

    It is computed at 1/16 of the bins and interpolated: the delays are at most 0.6 ms, so the phase
    changes slowly.

    Args:
      sample_rate_hz: Sample rate in Hz.
      size: Size of the Fourier transform.
      metres: Distance of the source.
      azimuth: Direction of the source.
      has_delays: Whether the delays of the ears are part of the response.
    """
    bins = size // 2 + 1
    coarse = np.append(np.arange(0, bins, 16), bins + 15)
    frequency = coarse * (sample_rate_hz / size)
    response = head_shadow(frequency, azimuth) * air_absorption(frequency, metres)
    if has_delays:
        delays_s = ear_delays_s(np.array(azimuth)) + CENTRE_S
        response = response * np.exp(-2j * np.pi * frequency * delays_s[:, np.newaxis])
    fine = np.arange(bins)
    left = np.interp(fine, coarse, response[LEFT])
    right = np.interp(fine, coarse, response[RIGHT])
    return np.stack([left, right]).astype(np.complex64)


def _delayed(
    ears: np.ndarray, sample_rate_hz: int, start_azimuth: float, end_azimuth: float
) -> np.ndarray:
    """Applies the changing delays of a moving source to both ears, float32 [2, samples]."""
    samples = ears.shape[1]
    clock = np.arange(samples)
    knots = np.linspace(0, samples, DIRECTIONS)
    azimuths = np.linspace(start_azimuth, end_azimuth, DIRECTIONS)
    delays = (ear_delays_s(azimuths) + CENTRE_S) * sample_rate_hz  # [directions, 2]
    delayed = []
    for ear in (LEFT, RIGHT):
        delay = np.interp(clock, knots, delays[:, ear])
        delayed.append(np.interp(clock - delay, clock, ears[ear]))
    return np.stack(delayed).astype(np.float32)


def _add_reflection(
    out: np.ndarray, ears: np.ndarray, sample_rate_hz: int, reflection: Reflection
) -> None:
    """Adds a reflection of the direct sound `ears` to `out`, both [2, samples].

    A reflection comes from another direction than the source: both ears receive the direct sound of
    the ear on the reflection's side, the far ear weaker.
    """
    samples = ears.shape[1]
    near_ear = LEFT if reflection.azimuth < 0 else RIGHT
    for ear, ear_delay_s in enumerate(ear_delays_s(np.array(reflection.azimuth))):
        gain = reflection.gain
        if ear != near_ear:
            gain = FAR_EAR_GAIN * gain
        shift = round((reflection.delay_s + ear_delay_s) * sample_rate_hz)
        out[ear, shift:] += np.float32(gain) * ears[near_ear, : samples - shift]


def _tail_samples(room: Room, sample_rate_hz: int) -> int:
    return round(room.rt60_s * TAIL_DB / 60 * sample_rate_hz)


@functools.lru_cache(maxsize=4)
def _tail_spectrum(room: Room, sample_rate_hz: int, size: int) -> np.ndarray:
    return fft.rfft(late_field(room, sample_rate_hz), size)

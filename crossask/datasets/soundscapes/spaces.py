"""Rooms and ears: from a mono source at a distance and direction to the two microphones at a listener's head.

Direct sound and first reflections differ at the ears in time (Woodworth's sphere) and in level (Brown and Duda's one
pole and one zero of the head's shadow); the late field is diffuse noise that decays exponentially, faster at the top.
"""

import dataclasses
import functools

import numpy as np
from scipy import fft, signal

HEAD_METRES, SOUND_METRES_PER_S = 0.0875, 343.0
CENTRE_S = HEAD_METRES / SOUND_METRES_PER_S  # from the surface of the head to its centre
REFERENCE_METRES = 4.0  # the distance at which an event has its nominal level
TAIL_DB = 45.0  # how far the late field is followed down


@dataclasses.dataclass(frozen=True)
class Room:
    """A place's acoustics.

    rt60_s: reverberation time at low frequencies; rt60_high_s above 2 kHz
    critical_metres: where the late field is as strong as the direct sound
    reflections: (delay in seconds, gain, azimuth in radians) each
    tail_seed: the noise of the late field
    """

    rt60_s: float
    rt60_high_s: float
    critical_metres: float
    reflections: tuple[tuple[float, float, float], ...]
    tail_seed: int


# family -> ranges of (rt60_s, critical distance in m, reflections' delay in s, reflections' gain)
ROOM_RANGES = {
    "hall": ((0.7, 1.7), (3.0, 9.0), (0.008, 0.06), (0.1, 0.4)),
    "vehicle": ((0.15, 0.4), (1.5, 5.0), (0.002, 0.012), (0.2, 0.55)),
    "open": ((0.25, 0.9), (9.0, 40.0), (0.01, 0.09), (0.03, 0.25)),
}


def draw_room(rng, family: str) -> Room:
    """A random room of a family of `ROOM_RANGES`."""
    times, critical, delays, gains = ROOM_RANGES[family]
    rt60 = rng.uniform(*times)
    reflections = tuple(
        (
            float(rng.uniform(*delays)),
            float(rng.choice([-1, 1]) * rng.uniform(*gains)),
            float(rng.uniform(-np.pi, np.pi)),
        )
        for _ in range(5)
    )
    high, critical_metres = rt60 * rng.uniform(0.4, 0.75), rng.uniform(*critical)
    return Room(
        float(rt60), float(high), float(critical_metres), reflections, int(rng.integers(2**31))
    )


def ear_delays_s(azimuth: np.ndarray) -> np.ndarray:
    """Arrival at the (left, right) ear after the centre of the head, [..., 2]; azimuth 0 ahead, +pi/2 right."""
    incidence = np.arccos(
        np.clip(np.stack([-np.sin(azimuth), np.sin(azimuth)], -1), -1, 1)
    )  # angle to each ear's axis
    near = -np.cos(incidence)
    far = incidence - np.pi / 2
    return HEAD_METRES / SOUND_METRES_PER_S * np.where(incidence < np.pi / 2, near, far)


def head_shadow(frequency_hz: np.ndarray, azimuth: float) -> np.ndarray:
    """Complex response of the head's shadow at the (left, right) ear, [2, frequencies] (Brown and Duda 1998, eq. 3)."""
    incidence = np.arccos(np.clip(np.array([-np.sin(azimuth), np.sin(azimuth)]), -1, 1))
    alpha = 1.05 + 0.95 * np.cos(
        incidence / np.radians(150) * np.pi
    )  # 2 facing the source, 0.1 behind the head
    ratio = 1j * np.pi * frequency_hz * HEAD_METRES / SOUND_METRES_PER_S  # j omega / (2 omega_0)
    return (1 + alpha[:, np.newaxis] * ratio) / (1 + ratio)


def air_absorption(frequency_hz: np.ndarray, metres: float) -> np.ndarray:
    """Loss on the way, about 0.1 dB/m at 8 kHz and rising as the square of frequency: amplitude 0..1."""
    return 10 ** (-0.1 * metres * (frequency_hz / 8000) ** 2 / 20)


def binaural(
    wave: np.ndarray, sample_rate_hz: int, room: Room, metres: float, start: float, end: float
) -> np.ndarray:
    """Direct sound and first reflections of a source at two ears.

    Args:
      wave: mono [samples].
      metres: distance; azimuth goes from `start` to `end` (radians, 0 ahead, +pi/2 right).

    Returns:
      float32 [2, samples + tail]. Level falls with the 0.6th power of distance: less than nature's, as in recordings.
    """
    longest = max(delay for delay, _, _ in room.reflections) + 0.002
    samples = len(wave) + round(longest * sample_rate_hz)
    size = fft.next_fast_len(samples, real=True)
    moves = start != end
    response = _response(sample_rate_hz, size, metres, (start + end) / 2, not moves)
    ears = fft.irfft(
        fft.rfft(wave.astype(np.float32), size) * response, size, axis=-1, overwrite_x=True
    )[:, :samples]
    if moves:
        clock, knots = np.arange(samples), np.linspace(0, samples, 65)
        delays = (ear_delays_s(np.linspace(start, end, 65)) + CENTRE_S) * sample_rate_hz
        ears = np.stack(
            [
                np.interp(clock - np.interp(clock, knots, delays[:, ear]), clock, ears[ear])
                for ear in (0, 1)
            ]
        )
        ears = ears.astype(np.float32)
    out = ears.copy()
    for delay, gain, azimuth in room.reflections:
        # a reflection comes from elsewhere: both ears hear what the ear on its side heard, the far ear weaker
        near = 0 if azimuth < 0 else 1
        for ear, late in enumerate(ear_delays_s(np.array(azimuth))):
            shift = round((delay + late) * sample_rate_hz)
            out[ear, shift:] += (
                np.float32(gain if ear == near else 0.7 * gain) * ears[near, : samples - shift]
            )
    out *= np.float32((REFERENCE_METRES / metres) ** 0.6)
    return out


def _response(
    sample_rate_hz: int, size: int, metres: float, azimuth: float, delayed: bool
) -> np.ndarray:
    """Air, head's shadow and, with `delayed`, the ears' delays: complex64 [2, size // 2 + 1].

    Computed on 1/16 of the bins and filled in between: the delays are at most 0.6 ms, which turns the phase slowly.
    """
    bins = size // 2 + 1
    coarse = np.append(np.arange(0, bins, 16), bins + 15)
    frequency = coarse * (sample_rate_hz / size)
    response = head_shadow(frequency, azimuth) * air_absorption(frequency, metres)
    if delayed:
        delays = ear_delays_s(np.array(azimuth)) + CENTRE_S
        response = response * np.exp(-2j * np.pi * frequency * delays[:, np.newaxis])
    fine = np.arange(bins)
    return np.stack([np.interp(fine, coarse, ear) for ear in response]).astype(np.complex64)


def late_field_gain(room: Room, metres: float) -> float:
    """What a source feeds into the late field, beside a direct sound of level (4 m / distance)^0.6."""
    return (
        (REFERENCE_METRES / metres) ** 0.6
        * metres
        / room.critical_metres
        / (1 + 0.5 * metres / room.critical_metres)
    )


@functools.lru_cache(maxsize=4)
def _tail_spectrum(room: Room, sample_rate_hz: int, size: int) -> np.ndarray:
    return fft.rfft(late_field(room, sample_rate_hz), size)


@functools.lru_cache(maxsize=4)
def late_field(room: Room, sample_rate_hz: int) -> np.ndarray:
    """The late field's impulse response at the two ears: float32 [2, samples], unit energy an ear."""
    samples = round(room.rt60_s * TAIL_DB / 60 * sample_rate_hz)
    t = np.arange(samples) / sample_rate_hz
    rng = np.random.default_rng(room.tail_seed)
    white = rng.standard_normal((2, samples))
    low = signal.sosfilt(signal.butter(1, 2000, "lowpass", fs=sample_rate_hz, output="sos"), white)
    decay, decay_high = (10 ** (-3 * t / rt60) for rt60 in (room.rt60_s, room.rt60_high_s))
    tail = low * decay + 0.5 * (white - low) * decay_high
    tail *= np.minimum(1, t / 0.01)
    return (tail / np.sqrt(np.sum(tail**2, axis=1, keepdims=True))).astype(np.float32)


def reverberate(send: np.ndarray, sample_rate_hz: int, room: Room) -> np.ndarray:
    """The late field of everything sent into it: mono [samples] -> float32 [2, samples]."""
    size = fft.next_fast_len(
        len(send) + round(room.rt60_s * TAIL_DB / 60 * sample_rate_hz), real=True
    )
    spectrum = fft.rfft(send.astype(np.float32), size) * _tail_spectrum(room, sample_rate_hz, size)
    return fft.irfft(spectrum, size, overwrite_x=True)[:, : len(send)]

"""Writes a prediction in words, such as "Most likely a tram (41 %), perhaps a bus".

The rule is written in docs/serving.md, "The prediction in words". It uses percentages that are
rounded to whole numbers, so that the words fit the number beside them.
"""

from collections.abc import Sequence

from crossask.audio.remarks import LEAST_DBFS
from crossask.serving import prediction_lines
from crossask.serving.results import Prediction

# Least percentage of the first scene, and its word. "Very likely" and "likely" have the limits of
# the IPCC's guidance on uncertainty (2010); a scene below 33 % would be "unlikely" there.
LIKELIHOODS = ((90, "Very likely"), (66, "Likely"), (33, "Most likely"))
NOT_SURE = "Not sure, perhaps"
# Other scenes are mentioned from this percentage; below it, the IPCC calls them "very unlikely".
LEAST_PERCENT_OF_OTHERS = 10
MOST_OTHERS = 2
# The changes over time are listed up to this number of stretches.
MOST_STRETCHES = 5
# Words for the names of scenes within a sentence. The names are those of the data sets and of the
# starter model; the name of another scene is used as it is.
PHRASES = {
    "airport": "an airport",
    "beach": "a beach",
    "beach_sea": "a beach or the sea",
    "bus": "a bus",
    "cafe/restaurant": "a café or restaurant",
    "cafe_restaurant": "a café or restaurant",
    "car": "a car",
    "city_center": "a city centre",
    "city_street": "a city street",
    "forest_birds": "a forest with birds",
    "forest_path": "a forest path",
    "grocery_store": "a grocery store",
    "home": "a home",
    "library": "a library",
    "metro": "a metro",
    "metro_station": "a metro station",
    "night_insects": "insects at night",
    "office": "an office",
    "park": "a park",
    "public_square": "a public square",
    "quiet_indoor": "a quiet room",
    "rain": "rain",
    "residential_area": "a residential area",
    "shopping_mall": "a shopping mall",
    "stream_river": "a stream or river",
    "street_pedestrian": "a pedestrian street",
    "street_traffic": "a street with traffic",
    "train": "a train",
    "train_metro": "a train or metro",
    "tram": "a tram",
    "vehicle_cabin": "the inside of a vehicle",
}


def in_words(prediction: Prediction) -> str:
    """Returns a prediction with its doubt in words, without a full stop."""
    if prediction.is_silent:
        return f"Silence: the recording contains no sound{_level_text(prediction.level_dbfs)}"
    (scene, probability), *others = prediction.top(1 + MOST_OTHERS)
    percentage = _percentage(probability)
    first = f"{scene_phrase(scene)} ({percent_text(probability)})"
    possible = []
    for other, other_probability in others:
        if _percentage(other_probability) >= LEAST_PERCENT_OF_OTHERS:
            possible.append(scene_phrase(other))
    if prediction.is_sure:
        for least_percentage, word in LIKELIHOODS:
            if percentage >= least_percentage:
                alternatives = f", perhaps {_any_of(possible)}" if possible else ""
                return f"{word} {first}{alternatives}"
    return f"{NOT_SURE} {_any_of([first, *possible])}"


def over_time_in_words(prediction: Prediction) -> str:
    """Returns a sentence about the changes of the scene over time, or "" if there are none."""
    stretches = prediction_lines.labels(prediction.timeline)
    if prediction.is_silent or len(stretches) == 1:
        return ""
    if len(stretches) > MOST_STRETCHES:
        has_silence = any(stretch.scene == prediction_lines.SILENT for stretch in stretches)
        included = ", from and to silence included" if has_silence else ""
        return f"The most probable scene changes {len(stretches) - 1} times{included}."
    parts = []
    for stretch in stretches:
        start = minutes_text(stretch.start_seconds)
        end = minutes_text(stretch.end_seconds)
        phrase = scene_phrase(stretch.scene)
        if stretch.scene == prediction_lines.SILENT:
            phrase = "silence"
        parts.append(f"{phrase} ({start} to {end})")
    return f"Over time: {', then '.join(parts)}."


def scene_phrase(scene: str) -> str:
    """Returns the name of a scene as it is used within a sentence."""
    return PHRASES.get(scene, scene.replace("_", " "))


def percent_text(probability: float) -> str:
    """Returns a probability as a whole percentage; nothing is shown as certain."""
    percentage = _percentage(probability)
    if percentage >= 100:
        return "over 99 %"
    return f"{percentage} %"


def minutes_text(seconds: float) -> str:
    """Returns a time as minutes:seconds, such as "1:05"."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _percentage(probability: float) -> int:
    return round(100 * probability)


def _level_text(level_dbfs: float) -> str:
    """Returns a level, such as " (level −91 dBFS)"; "" if the samples are all the same."""
    if level_dbfs <= LEAST_DBFS:
        return ""
    return f" (level {level_dbfs:.0f} dBFS)".replace("-", "−")


def _any_of(texts: Sequence[str]) -> str:
    """Returns "a", "a or b", or "a, b or c"."""
    if len(texts) == 1:
        return texts[0]
    return f"{', '.join(texts[:-1])} or {texts[-1]}"

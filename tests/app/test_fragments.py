"""The words and the HTML of the page."""

import dataclasses
from html.parser import HTMLParser

from app import made_up

from crossask.app import about, drawing, fragments
from crossask.app.outcomes import Outcome
from crossask.serving import starter

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Elements(HTMLParser):
    """Collects the names of the elements and their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    @property
    def names(self):
        return {tag for tag, _ in self.found}


def hostile_copy(value):
    """Returns a value of JSON in which each text is hostile."""
    if isinstance(value, dict):
        return {key: hostile_copy(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [f"{HOSTILE}{number}" for number, _ in enumerate(value)]
    return HOSTILE if isinstance(value, str) else value


def test_everything_from_a_file_is_escaped():
    card = hostile_copy(made_up.CARD | {"events": ["dog", "rain"]})
    model = fragments.ShownModel(HOSTILE, card)
    prediction = made_up.prediction(HOSTILE, first=HOSTILE, second=f"{HOSTILE}2")
    outcomes = [Outcome(HOSTILE, (prediction, prediction)), Outcome("b", problem=HOSTILE)]
    explanation = made_up.explanation(events=(HOSTILE, f"{HOSTILE}2"))
    detail = fragments.Detail(outcomes[0], [explanation, explanation])
    models = [model, model]
    for html in (
        fragments.result_html(models, outcomes, detail),
        fragments.result_html(models, outcomes[1:], None),
        fragments.models_html(models),
        fragments.problem_html(HOSTILE),
    ):
        elements = Elements(html)
        assert "alert(1)" in html
        assert "script" not in elements.names
        for _, attributes in elements.found:
            assert "onerror" not in attributes
            source = attributes.get("src", "data:image/png")
            assert source.startswith("data:image/png")
            assert attributes.get("href", "data:").startswith("data:")


def test_files_of_two_models_have_different_names_also_if_their_folders_have_one_name():
    prediction = made_up.prediction()
    outcome = Outcome("a.wav", (prediction, prediction))
    explanation = made_up.explanation()
    models = [fragments.ShownModel(name, made_up.CARD) for name in ("first/model", "second/model")]
    detail = fragments.Detail(outcome, [explanation, explanation])
    names = []
    for _, attributes in Elements(fragments.result_html(models, [outcome], detail)).found:
        if "download" in attributes:
            names.append(attributes["download"])
    assert "a_first_model.csv" in names
    assert "a_second_model.csv" in names
    assert len(set(names)) == len(names)


def test_the_picture_of_a_recording_with_silent_windows_says_that_they_are_empty():
    prediction = made_up.prediction()
    first, second = prediction.timeline
    silent = dataclasses.replace(second, level_dbfs=-100.0)
    with_silence = dataclasses.replace(prediction, timeline=(first, silent))
    models = [fragments.ShownModel("model", made_up.CARD)]
    for shown, has_silence in ((prediction, False), (with_silence, True)):
        outcome = Outcome("a.wav", (shown,))
        detail = fragments.Detail(outcome, [made_up.explanation()])
        html = fragments.result_html(models, [outcome], detail)
        assert ("Silent windows are empty." in html) is has_silence
        assert ("silent from 10 s" in html) is has_silence


def test_a_dollar_sign_in_a_name_is_not_a_formula():
    prediction = made_up.prediction(first="$\\frac{a$", second="$x$")
    explanation = made_up.explanation(events=("$\\frac{a$", "$x$"))
    assert drawing.timeline_png(prediction, explanation).startswith(b"\x89PNG")
    assert drawing.events_png(explanation).startswith(b"\x89PNG")


def test_a_model_without_scores_of_events_has_no_picture_of_them():
    assert drawing.events_png(made_up.explanation()) is None


def test_the_starter_model_is_described_by_its_facts():
    facts = starter.starter_facts()
    card = made_up.CARD | {
        "what": "The starter model of crossask",
        "scenes": facts["scenes"],
        "trained_on": {"recordings": facts["trained_on"]},
        "evaluation": facts["other_source"],
        "least_probability": facts["least_probability"],
    }
    what, scenes, training, evaluation = about.sentences(card)
    assert what.startswith("The starter model of crossask (")
    assert "one of 10 scenes" in scenes
    assert "a forest with birds" in scenes
    assert "below a probability of 50 % it is not sure" in scenes
    assert training == "It was trained on 40 recordings."
    assert evaluation == (
        "On 27 recordings of another collection, it was right for 82.5 % (macro accuracy)."
    )


def test_an_exported_run_is_described_by_its_corpus_and_score():
    trained = {"training": 9185, "evaluation": 4185}
    scores = {"macro_accuracy": 0.7, "clips": 4185}
    card = made_up.CARD | {"trained_on": trained, "evaluation": scores}
    what, scenes, training, evaluation = about.sentences(card)
    assert what == "Acoustic scene classifier written by crossask (FA)."
    assert scenes.endswith("For a recording of another place, it still predicts one of them.")
    assert training == (
        "It was trained on 9,185 clips of 10 s: TAU Urban Acoustic Scenes 2019, fold 1, seed 0."
    )
    assert evaluation == (
        "On 4,185 clips of its evaluation fold, it was right for 70.0 % (macro accuracy)."
    )


def test_a_run_on_clips_that_were_cut_from_recordings_is_described_by_its_training_clips():
    trained = {"training": 30, "evaluation": 10, "recordings": 8, "evaluation_recordings": 2}
    card = made_up.CARD | {"trained_on": trained}
    assert about.training_text(card).startswith("It was trained on 30 clips of 10 s: ")


def test_what_a_card_does_not_say_is_said_to_be_unknown():
    _, _, training, evaluation = about.sentences(made_up.CARD)
    assert "an unknown number of clips" in training
    assert "was not measured" in evaluation


def test_notes_say_what_makes_a_prediction_less_certain():
    plain = dataclasses.replace(made_up.prediction(), timeline=made_up.prediction().timeline[:1])
    assert fragments.notes(plain, made_up.CARD) == []
    (changes,) = fragments.notes(made_up.prediction(), made_up.CARD)
    assert changes == "Over time: a tram (0:00 to 0:10), then a bus (0:10 to 0:20)."
    # A sample less than a window makes no prediction less accurate.
    assert not fragments.notes(dataclasses.replace(plain, filled_seconds=2e-5), made_up.CARD)
    short = dataclasses.replace(plain, filled_seconds=8.0, sample_rate_hz=16000)
    filled, rate = fragments.notes(short, made_up.CARD)
    assert "shorter than the 10 s" in filled
    assert "was filled with 8 s" in filled
    assert "16,000 Hz, is below that of the training, 48,000 Hz" in rate
    half = dataclasses.replace(plain, remarks=("ends after 5 s",))
    assert fragments.notes(half, made_up.CARD) == ["The recording ends after 5 s."]
    silent = dataclasses.replace(short, level_dbfs=-100.0)
    (advice,) = fragments.notes(silent, made_up.CARD)
    assert advice.startswith("It has no scene.")

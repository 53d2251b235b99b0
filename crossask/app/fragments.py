"""Formats a model's result as HTML for the page, and as JSON for programs."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from crossask.app import about, downloads, drawing
from crossask.app.downloads import Download
from crossask.app.outcomes import Outcome
from crossask.report import formatting
from crossask.serving import Explanation, Prediction, prediction_lines, words

_BARS = """
{% macro bars(caption, entries) %}
<table><caption>{{ caption }}</caption><tbody>
{% for name, share in entries %}
<tr><th scope="row">{{ name | plain }}</th>
<td class="bar"><span style="width:{{ share | percent }}%"></span></td>
<td class="number">{{ share | percent }} %</td></tr>
{% endfor %}
</tbody></table>
{% endmacro %}
"""

_LINKS = """
{% macro links(files) %}
<ul class="downloads">
{% for file in files %}
<li><a href="{{ file.url }}" download="{{ file.name }}">{{ file.label }}</a></li>
{% endfor %}
</ul>
{% endmacro %}
"""

_RESULT = """
{% from "links" import links %}
{% if outcomes | length > 1 %}
<section class="overview">
<div class="scroll">
<table><thead><tr><th scope="col">File</th>
{% for name in model_names %}
<th scope="col">{{ name if model_names | length > 1 else "Prediction" }}</th>
{% endfor %}
</tr></thead><tbody>
{% for outcome in outcomes %}
<tr><th scope="row">{{ outcome.name }}</th>
{% if outcome.problem %}
<td colspan="{{ model_names | length }}">{{ outcome.problem }}</td>
{% else %}
{% for prediction in outcome.predictions %}
{# A narrow screen has no columns, so each prediction begins with the name of its model. #}
<td{% if model_names | length > 1 %} data-model="{{ model_names[loop.index0] }}"{% endif %}>
{{ prediction | in_words }}</td>
{% endfor %}
{% endif %}
</tr>
{% endfor %}
</tbody></table>
</div>
{{ links(files) }}
</section>
{% endif %}
{% if problem %}
<p class="problem" role="alert">{{ problem }}</p>
{% else %}
<p class="shown" role="status"><strong>{{ shown.name }}</strong>, {{ length }}</p>
<div class="columns">
{% for section in sections %}
{{ section | safe }}
{% endfor %}
</div>
{% endif %}
"""

_PREDICTION = """
{% from "bars" import bars %}
{% from "links" import links %}
<section class="prediction">
<h2>{{ name }}: {{ system }}</h2>
<div class="parts">
<div>
<p class="words">{{ prediction | in_words }}</p>
{% for note in notes %}
<p>{{ note }}</p>
{% endfor %}
{% if not prediction.is_silent %}
{{ bars("Probability, mean over " + windows, scenes) }}
<h3>Events in the window from {{ span }}</h3>
{% if events %}
{{ bars(events_caption, events) }}
{% else %}
<p>{{ no_events }}</p>
{% endif %}
{{ links(files) }}
{% endif %}
</div>
{% if figures %}
<div>
{% for figure in figures %}
<figure><h3>{{ figure.title }}</h3>
<img alt="{{ figure.description }}" src="{{ figure.file.url }}">
<figcaption>{{ figure.sentence }}</figcaption>
{{ links([figure.file]) }}
</figure>
{% endfor %}
</div>
{% endif %}
</div>
</section>
"""

_PROBLEM = """
<p class="problem" role="alert">{{ text }}</p>
"""

_MODEL_CARD = """
<section class="card">
<h3>{{ name }}</h3>
{% for sentence in sentences %}
<p>{{ sentence }}</p>
{% endfor %}
<details><summary>All facts (model card)</summary>
<dl>
{% for term, text in facts.items() %}
<dt>{{ term }}</dt><dd>{{ text }}</dd>
{% endfor %}
</dl>
<pre tabindex="0">{{ card_json }}</pre>
</details>
</section>
"""


def prediction_json(name: str, prediction: Prediction, explanation: Explanation) -> dict[str, Any]:
    """Returns the result of one model for one recording as JSON values.

    Args:
      name: Name of the model.
      prediction: Its prediction.
      explanation: Its explanation, of which the events are used.
    """
    timeline = []
    for segment in prediction.timeline:
        timeline.append(
            {
                "start_seconds": segment.start_seconds,
                "end_seconds": segment.end_seconds,
                "probabilities": segment.probabilities,
                "silent": segment.is_silent,
            }
        )
    events = [{"event": event, "score": score} for event, score in explanation.top_events()]
    return {
        "model": name,
        "file": prediction.source,
        "in_words": words.in_words(prediction),
        "scene": prediction.scene,
        "sure": prediction.is_sure,
        "silent": prediction.is_silent,
        "level_dbfs": prediction.level_dbfs,
        "probabilities": prediction.probabilities,
        "timeline": timeline,
        "events": events,
        "filled_seconds": prediction.filled_seconds,
        "warnings": list(prediction.warnings),
    }


@dataclasses.dataclass(frozen=True)
class ShownModel:
    """A model on the page.

    Attributes:
      name: Its name on the page.
      card: Its model card.
    """

    name: str
    card: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Detail:
    """The recording that is shown in detail.

    Attributes:
      outcome: Its outcome.
      explanations: The explanation of one window by each model; None for a silent recording.
    """

    outcome: Outcome
    explanations: Sequence[Explanation | None]


def result_html(
    models: Sequence[ShownModel], outcomes: Sequence[Outcome], detail: Detail | None
) -> str:
    """Returns the results of a visitor: all recordings in a table, and one of them in detail.

    Args:
      models: The models in the order of the predictions.
      outcomes: The outcomes of all recordings; one alone has no table.
      detail: The recording that is shown in detail; None if no recording can be used.
    """
    names = [model.name for model in models]
    problem = ""
    length = ""
    sections = []
    if detail is None:
        problem = "None of the files can be used."
        if len(outcomes) == 1:
            problem = outcomes[0].problem
    else:
        predictions = detail.outcome.predictions
        length = f"{predictions[0].seconds:.1f} s"
        for model, prediction, explanation in zip(
            models, predictions, detail.explanations, strict=True
        ):
            stem = _stem(detail, model, names)
            sections.append(_prediction_html(model, prediction, explanation, stem))
    return _render(
        "result",
        outcomes=outcomes,
        model_names=names,
        files=downloads.files_of_all(outcomes, names) if len(outcomes) > 1 else [],
        problem=problem,
        shown=detail.outcome if detail else None,
        length=length,
        sections=sections,
    )


def problem_html(text: str) -> str:
    """Returns a message about a problem as HTML, which takes the place of the result."""
    return _render("problem", text=text)


def models_html(models: Sequence[ShownModel]) -> str:
    """Returns what the models are, side by side, or one below the other on a narrow screen."""
    cards = [model_card_html(model) for model in models]
    return f'<div class="columns">{"".join(cards)}</div>'


def model_card_html(model: ShownModel) -> str:
    """Returns what a model is and was trained on, and the whole model card folded away."""
    card = model.card
    facts = {
        "System": about.system_text(card),
        "Scenes": ", ".join(str(scene) for scene in card["scenes"]),
        "Clip length": f"{card['clip_seconds']:g} s",
        "Events": ", ".join(card["events"]) or no_events_text(card),
    }
    return _render(
        "model_card",
        name=model.name,
        sentences=about.sentences(card),
        facts=facts,
        card_json=json.dumps(card, indent=1),
    )


def no_events_text(card: Mapping[str, Any]) -> str:
    """Returns the reason why a model has no scores of events."""
    if "events" in card["front_end"]:
        return (
            "Not available: the event model has no output layer for events, or it was trained "
            "together with the scene model, so that its output layer no longer fits."
        )
    return "None: this model does not use events."


def notes(prediction: Prediction, card: Mapping[str, Any]) -> list[str]:
    """Returns the sentences below a prediction: changes over time, and what makes it less certain.

    Args:
      prediction: The prediction.
      card: The card of its model.
    """
    if prediction.is_silent:
        return [
            "It has no scene. Check that the microphone was on, and that the file was copied whole."
        ]
    found = [f"The recording {remark}." for remark in prediction.remarks]
    changes = words.over_time_in_words(prediction)
    if changes:
        found.append(changes)
    if prediction.is_short:
        found.append(
            f"The recording is shorter than the {card['clip_seconds']:g} s that the model reads, "
            f"and was filled with {prediction.filled_seconds:.3g} s. The prediction may be less "
            "accurate."
        )
    if prediction.sample_rate_hz < card["sample_rate_hz"]:
        found.append(
            f"Its sample rate, {prediction.sample_rate_hz:,} Hz, is below that of the training, "
            f"{card['sample_rate_hz']:,} Hz. The prediction may be less accurate."
        )
    return found


@dataclasses.dataclass(frozen=True)
class _Figure:
    """A picture on the page.

    Attributes:
      title: Title above it.
      sentence: What it shows, below it.
      description: Text for readers who cannot see it.
      file: The PNG.
    """

    title: str
    sentence: str
    description: str
    file: Download


def _prediction_html(
    model: ShownModel, prediction: Prediction, explanation: Explanation | None, stem: str
) -> str:
    """Returns the result of one model for one recording.

    Args:
      model: The model.
      prediction: Its prediction.
      explanation: The explanation of one window, or None for a silent recording.
      stem: Name of the files to save, without suffix.
    """
    span = ""
    events = []
    events_caption = ""
    figures = []
    if explanation is not None:
        span = _span_text(explanation)
        events = explanation.top_events()
        events_caption = _events_caption(explanation)
        figures = _figures(model.card, prediction, explanation, stem)
    windows = len(prediction.timeline)
    return _render(
        "prediction",
        name=model.name,
        system=about.system_text(model.card),
        prediction=prediction,
        notes=notes(prediction, model.card),
        scenes=prediction.top(len(prediction.probabilities)),
        windows=f"{windows} windows" if windows > 1 else "one window",
        span=span,
        events=events,
        events_caption=events_caption,
        no_events=no_events_text(model.card),
        figures=figures,
        files=downloads.files_of_prediction(prediction, stem),
    )


def _stem(detail: Detail, model: ShownModel, model_names: Sequence[str]) -> str:
    """Returns the name of the files of one recording and model, without suffix."""
    stem = Path(detail.outcome.name).stem
    if len(model_names) == 1:
        return stem
    # The name of a model is a path if two models have folders of the same name.
    return f"{stem}_{downloads.file_name(model.name)}"


def _events_caption(explanation: Explanation) -> str:
    caption = "Mean score of the event model"
    if explanation.attention:
        return f"{caption}, weighted by the scene model's attention"
    return caption


def _figures(
    card: Mapping[str, Any], prediction: Prediction, explanation: Explanation, stem: str
) -> list[_Figure]:
    """Returns the pictures that there are for a model and a recording."""
    figures = []
    if len(prediction.timeline) > 1:
        figures.append(_timeline_figure(card, prediction, explanation, stem))
    window_figure = _window_figure(card, explanation, stem)
    if window_figure is not None:
        figures.append(window_figure)
    events_figure = _events_figure(explanation, stem)
    if events_figure is not None:
        figures.append(events_figure)
    return figures


def _timeline_figure(
    card: Mapping[str, Any], prediction: Prediction, explanation: Explanation, stem: str
) -> _Figure:
    """Returns the figure of the probabilities of all windows."""
    scenes = []
    for segment in prediction.timeline:
        scenes.append(f"{prediction_lines.label_text(segment)} from {segment.start_seconds:g} s")
    picture = drawing.timeline_png(prediction, explanation)
    sentence = (
        "Darker is more probable: each row is a scene, each column the middle of a window of "
        f"{card['clip_seconds']:g} s, and the frame marks the window that is explained."
    )
    if any(segment.is_silent for segment in prediction.timeline):
        sentence += " Silent windows are empty."
    return _Figure(
        title="Probabilities over time",
        sentence=sentence,
        description=f"Most probable scene: {', '.join(scenes)}.",
        file=downloads.picture_file(picture, f"{stem}_timeline"),
    )


def _window_figure(card: Mapping[str, Any], explanation: Explanation, stem: str) -> _Figure | None:
    """Returns the figure of the explained window, or None if there is nothing to draw."""
    cross_axes = ("event", "scene")
    if card["experiment"]["model"]["cross_attention"] == "scene_queries_event":
        cross_axes = ("scene", "event")
    picture = drawing.window_png(explanation, cross_axes)
    if picture is None:
        return None
    contents = []
    if explanation.log_mel is not None:
        contents.append("log-mel spectrogram")
    if explanation.attention:
        contents.append("attention")
    start = explanation.start_seconds
    end = explanation.end_seconds
    highest = "The model has no attention."
    attention = explanation.attended()  # [steps]
    if len(attention):
        centre = (attention.argmax() + 0.5) / len(attention)
        highest = f"The attention is highest at {start + centre * (end - start):.1f} s."
    title = f"{' and '.join(contents)}, {_span_text(explanation)}".capitalize()
    return _Figure(
        title=title,
        sentence=_window_sentence(explanation, cross_axes),
        description=f"{title}. {highest}",
        file=downloads.picture_file(picture, f"{stem}_window"),
    )


def _window_sentence(explanation: Explanation, cross_axes: tuple[str, str]) -> str:
    """Returns the sentence below the figure of the explained window."""
    clauses = []
    if explanation.log_mel is not None:
        clauses.append("darker is louder, and high sounds are above low ones")
    if "pooling" in explanation.attention:
        clauses.append("the curves are high where the model attends to the recording")
    if "cross" in explanation.attention:
        query, key = cross_axes
        clauses.append(
            f"in the lower part, darker is more attention of a moment of the {query} branch "
            f"(upwards) to one of the {key} branch (to the right)"
        )
    text = "; ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}."


def _events_figure(explanation: Explanation, stem: str) -> _Figure | None:
    """Returns the figure of the events, or None if the model computes no scores of events."""
    picture = drawing.events_png(explanation)
    if picture is None:
        return None
    events = ", ".join(event for event, _ in explanation.top_events())
    title = f"Events, {_span_text(explanation)}"
    return _Figure(
        title=title,
        sentence="Darker is a higher score: each row is an event that the event model detects.",
        description=f"{title}, with the highest mean scores: {events}.",
        file=downloads.picture_file(picture, f"{stem}_events"),
    )


def _span_text(explanation: Explanation) -> str:
    return f"{explanation.start_seconds:g} to {explanation.end_seconds:g} s"


def _in_words(prediction: Prediction) -> str:
    """Returns a prediction in words, in which no line breaks before a percent sign."""
    return words.in_words(prediction).replace(" %", "\N{NO-BREAK SPACE}%")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _render(template: str, **values: Any) -> str:
    return _ENVIRONMENT.get_template(template).render(**values)


# Every text that comes from a file or a model is escaped.
_ENVIRONMENT = jinja2.Environment(
    autoescape=True,
    loader=jinja2.DictLoader(
        {
            "bars": _BARS,
            "links": _LINKS,
            "result": _RESULT,
            "prediction": _PREDICTION,
            "problem": _PROBLEM,
            "model_card": _MODEL_CARD,
        }
    ),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_ENVIRONMENT.filters["plain"] = formatting.scene
_ENVIRONMENT.filters["percent"] = _percent
_ENVIRONMENT.filters["in_words"] = _in_words

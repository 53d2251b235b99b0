"""Formats a model's result as HTML for the page, and as JSON for programs."""

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jinja2

from crossask.app import drawing
from crossask.report.rows import title_of
from crossask.serving import Explanation, Prediction

STYLE = """
.examples { flex-wrap:wrap; gap:.5rem }
.examples button { flex:0 0 auto !important; width:auto !important; font-size:.9rem }
.prediction { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr)); }
.prediction { gap:1rem 2rem; align-items:start }
.prediction h2 { grid-column:1/-1; margin:0; padding-bottom:.3rem; font-size:1rem; font-weight:400 }
.prediction h2 { border-bottom:1px solid var(--border-color-primary) }
.prediction h3 { margin:1.4rem 0 .3rem; font-size:1rem; font-weight:600 }
.prediction .scene { margin:0 0 .6rem; font-size:1.9rem; font-weight:600; line-height:1.2 }
.prediction .scene::first-letter { text-transform:uppercase }
.prediction table { width:100%; border-collapse:collapse; font-variant-numeric:tabular-nums }
.prediction caption { padding-bottom:.3rem; text-align:left }
.prediction :is(table,tr,th,td) { border:0 !important }
.prediction :is(th,td) { padding:.14rem 0 }
.prediction th { padding-right:.8rem !important; font-weight:400; text-align:left }
.prediction th { white-space:nowrap }
.prediction tr:first-child th { font-weight:600 }
.prediction .bar { width:65% }
.prediction .bar span { display:block; height:.8rem; min-width:1px; border-radius:2px }
.prediction .bar span { background:#1f6f78 }
.dark .prediction .bar span { background:#7cc4c8 }
.prediction .number { padding-left:.8rem; text-align:right; white-space:nowrap }
.prediction figure { margin:0 0 1rem }
.prediction figcaption { margin-bottom:.3rem }
.prediction img { display:block; width:100%; height:auto; border-radius:6px }
.card dl { display:grid; grid-template-columns:max-content 1fr; gap:.25rem 1.2rem; margin:0 }
.card dt { font-weight:600 }
.card dd { margin:0; overflow-wrap:anywhere }
.card summary { margin-top:.8rem; cursor:pointer }
.card pre { max-height:24rem; overflow:auto; font-size:.8rem }
"""

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

_PREDICTION = """
{% from "bars" import bars %}
<section class="prediction">
<h2>{{ name }}: {{ system }}</h2>
<div>
<p class="scene">{{ prediction.scene | plain }}</p>
{% if prediction.filled_seconds %}
<p>The recording is shorter than a window and was filled with {{ filled_seconds }} s.</p>
{% endif %}
{{ bars("Probability, mean over " + windows, scenes) }}
<h3>Events in the window from {{ span }}</h3>
{% if events %}
{{ bars("Mean score of the event model, weighted by the scene model's attention", events) }}
{% else %}
<p>{{ no_events }}</p>
{% endif %}
</div>
<div>
{% for figure in figures %}
<figure><figcaption>{{ figure.caption }}</figcaption>
<img alt="{{ figure.description }}" src="data:image/png;base64,{{ figure.data }}"></figure>
{% endfor %}
{% if not has_window_figure %}
<p>No picture: this model reads no log-mel and has no attention.</p>
{% endif %}
</div>
</section>
"""

_MODEL_CARD = """
<div class="card">
<dl>
{% for term, text in facts.items() %}
<dt>{{ term }}</dt><dd>{{ text }}</dd>
{% endfor %}
</dl>
<details><summary>Whole model card</summary><pre tabindex="0">{{ card_json }}</pre></details>
</div>
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
            }
        )
    events = [{"event": event, "score": score} for event, score in explanation.events_heard()]
    return {
        "model": name,
        "scene": prediction.scene,
        "probabilities": prediction.probabilities,
        "timeline": timeline,
        "events": events,
        "filled_seconds": prediction.filled_seconds,
    }


def prediction_html(
    name: str, card: Mapping[str, Any], prediction: Prediction, explanation: Explanation
) -> str:
    """Returns the result of one model for one recording as HTML.

    Args:
      name: Name of the model.
      card: Its model card.
      prediction: Its prediction.
      explanation: The explanation of one window.
    """
    windows = len(prediction.timeline)
    figures = []
    if windows > 1:
        figures.append(_timeline_figure(prediction, explanation))
    window_figure = _window_figure(card, explanation)
    if window_figure is not None:
        figures.append(window_figure)
    return _ENVIRONMENT.get_template("prediction").render(
        name=name,
        system=_system_text(card),
        prediction=prediction,
        scenes=prediction.top(len(prediction.probabilities)),
        windows=f"{windows} windows" if windows > 1 else "one window",
        span=_span_text(explanation),
        filled_seconds=f"{prediction.filled_seconds:.3g}",
        events=explanation.events_heard(),
        no_events=no_events_text(card),
        figures=figures,
        has_window_figure=window_figure is not None,
    )


def model_card_html(card: Mapping[str, Any]) -> str:
    """Returns a model card as HTML: the main facts, and the whole card folded away."""
    experiment = card["experiment"]
    accuracy = "not evaluated before export"
    if "evaluation" in card:
        percent = 100 * card["evaluation"]["macro_accuracy"]
        accuracy = f"{percent:.1f} % on its evaluation fold"
    facts = {
        "System": _system_text(card),
        "Trained on": f"{experiment['dataset']}, fold {card['fold']}, seed {card['seed']}",
        "Scenes": ", ".join(str(scene) for scene in card["scenes"]),
        "Clip length": f"{card['clip_seconds']:g} s",
        "Macro accuracy": accuracy,
        "Events": ", ".join(card["events"]) or no_events_text(card),
    }
    card_json = json.dumps(card, indent=1)
    return _ENVIRONMENT.get_template("model_card").render(facts=facts, card_json=card_json)


def no_events_text(card: Mapping[str, Any]) -> str:
    """Returns the reason why a model has no scores of events."""
    if "events" in card["front_end"]:
        return (
            "Not available: the event model has no output layer for events, or it was trained "
            "together with the scene model, so that its output layer no longer fits."
        )
    return "None: this model does not use events."


@dataclasses.dataclass(frozen=True)
class _Figure:
    """A picture on the page.

    Attributes:
      caption: Text above it.
      description: Text for readers who cannot see it.
      data: The PNG in base64.
    """

    caption: str
    description: str
    data: str


def _timeline_figure(prediction: Prediction, explanation: Explanation) -> _Figure:
    scenes = [
        f"{segment.scene} from {segment.start_seconds:g} s" for segment in prediction.timeline
    ]
    return _Figure(
        caption="Probabilities over time. The frame marks the window that is explained.",
        description=f"Most probable scene: {', '.join(scenes)}.",
        data=_base64(drawing.timeline_png(prediction, explanation)),
    )


def _window_figure(card: Mapping[str, Any], explanation: Explanation) -> _Figure | None:
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
    caption = f"{' and '.join(contents)}, {_span_text(explanation)}".capitalize()
    return _Figure(
        caption=caption,
        description=f"{caption}. {highest}",
        data=_base64(picture),
    )


def _base64(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _system_text(card: Mapping[str, Any]) -> str:
    experiment = card["experiment"]
    return title_of(experiment["system"], experiment["strategy"])


def _span_text(explanation: Explanation) -> str:
    return f"{explanation.start_seconds:g} to {explanation.end_seconds:g} s"


def _plain(name: str) -> str:
    """Returns the name of a scene or an event with spaces."""
    return name.replace("_", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


# Every text that comes from a file or a model is escaped.
_ENVIRONMENT = jinja2.Environment(
    autoescape=True,
    loader=jinja2.DictLoader({"bars": _BARS, "prediction": _PREDICTION, "model_card": _MODEL_CARD}),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_ENVIRONMENT.filters["plain"] = _plain
_ENVIRONMENT.filters["percent"] = _percent

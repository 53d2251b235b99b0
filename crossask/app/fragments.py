"""An answer as HTML that gradio shows as it is, and as JSON for programs. Every word that comes from a file or a model is escaped."""

import base64
import json
from html import escape

from crossask.app import drawing
from crossask.serving import Explanation, Prediction

STYLE = """
.examples { flex-wrap:wrap; gap:.5rem }
.examples button { flex:0 0 auto !important; width:auto !important; font-size:.9rem }
.answer { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr)); gap:1rem 2rem; align-items:start }
.answer h2 { grid-column:1/-1; margin:0; padding-bottom:.3rem; font-size:1rem; font-weight:400 }
.answer h2 { border-bottom:1px solid var(--border-color-primary) }
.answer h3 { margin:1.4rem 0 .3rem; font-size:1rem; font-weight:600 }
.answer .scene { margin:0 0 .6rem; font-size:1.9rem; font-weight:600; line-height:1.2 }
.answer .scene::first-letter { text-transform:uppercase }
.answer table { width:100%; border-collapse:collapse; font-variant-numeric:tabular-nums }
.answer caption { padding-bottom:.3rem; text-align:left }
.answer :is(table,tr,th,td) { border:0 !important }
.answer :is(th,td) { padding:.14rem 0 }
.answer th { padding-right:.8rem !important; font-weight:400; text-align:left; white-space:nowrap }
.answer tr:first-child th { font-weight:600 }
.answer .bar { width:65% }
.answer .bar span { display:block; height:.8rem; min-width:1px; border-radius:2px; background:#1f6f78 }
.dark .answer .bar span { background:#7cc4c8 }
.answer .number { padding-left:.8rem; text-align:right; white-space:nowrap }
.answer figure { margin:0 0 1rem }
.answer figcaption { margin-bottom:.3rem }
.answer img { display:block; width:100%; height:auto; border-radius:6px }
.card dl { display:grid; grid-template-columns:max-content 1fr; gap:.25rem 1.2rem; margin:0 }
.card dt { font-weight:600 }
.card dd { margin:0; overflow-wrap:anywhere }
.card summary { margin-top:.8rem; cursor:pointer }
.card pre { max-height:24rem; overflow:auto; font-size:.8rem }
"""


def as_json(name: str, prediction: Prediction, explanation: Explanation) -> dict:
    """What one model says of one sound, as JSON can hold it."""
    return {
        "model": name,
        "scene": prediction.scene,
        "probabilities": prediction.probabilities,
        "timeline": [
            {
                "start_seconds": segment.start_seconds,
                "end_seconds": segment.end_seconds,
                "probabilities": segment.probabilities,
            }
            for segment in prediction.timeline
        ],
        "events": [{"event": event, "score": score} for event, score in explanation.events_heard()],
    }


def answer(name: str, card: dict, prediction: Prediction, explanation: Explanation) -> str:
    """Scene, probabilities and events in words, timeline and explained window as pictures."""
    events = explanation.events_heard()
    heard = (
        _bars(events, "Score; the moments that the model looks at count most")
        if events
        else f"<p>{no_events(card)}</p>"
    )
    return (
        f'<section class="answer"><h2>{escape(name)}: {_what(card)}</h2>\n<div><p class="scene">{_words(prediction.scene)}</p>\n'
        f"{_bars(prediction.top(len(prediction.probabilities)), f'Probability, mean over {_windows(prediction)}')}\n"
        f"<h3>Events heard from {_span(explanation)}</h3>\n{heard}</div>\n<div>{_pictures(card, prediction, explanation)}</div></section>"
    )


def no_events(card: dict) -> str:
    """Why a model tells no events."""
    if "events" in card["front_end"]:
        return "None can be named: the model's event model came without the head that names events."
    return "None: this model reads no events."


def facts(card: dict) -> str:
    """The model card: what it is and how well it does, then the whole card as it was written."""
    experiment, scores = card["experiment"], card.get("evaluation", {})
    lines = {
        "System": _what(card),
        "Trained on": f"{experiment['dataset']}, fold {card['fold']}, seed {card['seed']}",
        "Scenes": ", ".join(map(str, card["scenes"])),
        "Clip length": f"{card['clip_seconds']:g} s",
        "Macro accuracy": f"{100 * scores['macro_accuracy']:.1f} % on its evaluation fold"
        if scores
        else "not evaluated before export",
        "Events it names": ", ".join(card["events"]) or no_events(card),
    }
    entries = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in lines.items())
    whole = escape(json.dumps(card, indent=1))
    return f'<div class="card"><dl>{entries}</dl><details><summary>All of it</summary><pre tabindex="0">{whole}</pre></details></div>'


def _pictures(card: dict, prediction: Prediction, explanation: Explanation) -> str:
    parts = []
    if len(prediction.timeline) > 1:
        scenes = ", ".join(
            f"{segment.scene} from {segment.start_seconds:g} s" for segment in prediction.timeline
        )
        picture, caption = (
            drawing.timeline_png(prediction, explanation),
            "Probabilities over time; the framed window is explained",
        )
        parts.append(_figure(picture, caption, f"Most probable scene: {scenes}."))
    roles = ("event", "scene")
    if card["experiment"]["model"]["cross_attention"] == "scene_queries_event":
        roles = roles[::-1]
    picture = drawing.window_png(explanation, roles)
    if picture is None:
        parts.append(
            "<p>This model reads no log-mel and has no attention: there is nothing to draw.</p>"
        )
    else:
        attended, start, end = (
            explanation.attended(),
            explanation.start_seconds,
            explanation.end_seconds,
        )
        looked = "It has no attention."
        if len(attended):
            most = start + (attended.argmax() + 0.5) / len(attended) * (end - start)
            looked = f"The attention is highest at {most:.1f} s."
        caption = f"What it heard and where it looked, {_span(explanation)}"
        parts.append(_figure(picture, caption, f"Log-mel from {start:g} to {end:g} s. {looked}"))
    return "\n".join(parts)


def _figure(picture: bytes, caption: str, alternative: str) -> str:
    data = base64.b64encode(picture).decode()
    return f'<figure><figcaption>{caption}</figcaption><img alt="{escape(alternative)}" src="data:image/png;base64,{data}"></figure>'


def _bars(shares: list[tuple[str, float]], caption: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_words(name)}</th><td class="bar"><span style="width:{100 * share:.1f}%"></span></td>'
        f'<td class="number">{100 * share:.1f} %</td></tr>'
        for name, share in shares
    )
    return f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table>"


def _what(card: dict) -> str:
    return f"{card['experiment']['system']}, {_words(card['experiment']['strategy'])}"


def _words(name: str) -> str:
    return escape(name.replace("_", " "))


def _windows(prediction: Prediction) -> str:
    count = len(prediction.timeline)
    return f"{count} windows" if count > 1 else "one window"


def _span(explanation: Explanation) -> str:
    return f"{explanation.start_seconds:g} to {explanation.end_seconds:g} s"

"""Controls and open choices of VEM on real VGGish embeddings: the row of places never heard, and rows that each change one thing.

Not a part of the reproduction.
"""

import dataclasses
from pathlib import Path

from crossask import config

_rows = {
    row.name: row
    for row in config.read_experiments(str(Path(__file__).with_name("tut2017_embeddings.py")))
}
VEM = dataclasses.replace(_rows["vem_unseen_places"], note="")


def changed(name: str, **model) -> config.Experiment:
    return dataclasses.replace(VEM, name=name, model=dataclasses.replace(VEM.model, **model))


ROWS = (
    VEM,
    dataclasses.replace(
        VEM,
        name="other_clips_events",
        event_control="other_clip",
        note="embeddings are those of other clips",
    ),
    dataclasses.replace(
        VEM,
        name="events_out_of_order",
        event_control="shuffled_in_time",
        note="embeddings are shuffled in time",
    ),
    changed("pooling_tanh", pooling_activation="tanh"),
    changed("pooling_penalty", pooling_penalty=1.0),
)

"""Does the level at which recordings enter the event model matter?

LINEAR and CMAM of ambience.py at several values of `event_model.level`. The rows are trained on the
recordings as they are, and on copies at the levels of TAU 2019 (`benchmarks/attenuate_clips.py`).
"""

from pathlib import Path

from crossask import config

AMBIENCE = Path(__file__).with_name("ambience.py")
SYSTEMS = config.read_experiments(f"{AMBIENCE}:linear,cmam_feature_based")
LEVELS = (-40.0, -26.0, -20.0)


def rows_of(row: config.Experiment) -> list[config.Experiment]:
    """Returns a row at the level of the recordings, and at each of `LEVELS`."""
    rows = [row]
    for level in LEVELS:
        name = f"{row.name}_at_minus_{-level:.0f}_dbfs"
        note = f"The event model reads every clip at {level:g} dBFS."
        rows.append(config.override(row, {"name": name, "note": note, "event_model.level": level}))
    return rows


ROWS = (*rows_of(SYSTEMS[0]), *rows_of(SYSTEMS[1]))

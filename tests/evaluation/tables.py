"""Tables of predictions to score: one worked by hand, one drawn at random."""

import numpy as np
import pandas as pd

SCENES = ("bus", "park", "tram")
# truth, prediction; worked by hand: bus 2 of 4, park 2 of 3, tram 3 of 3
HAND = (
    ("bus", "bus"),
    ("bus", "bus"),
    ("bus", "park"),
    ("bus", "tram"),
    ("park", "park"),
    ("park", "park"),
    ("park", "bus"),
    ("tram", "tram"),
    ("tram", "tram"),
    ("tram", "tram"),
)


def table_of(pairs, scenes=SCENES, locations=None, cities=None, sure=0.8, prefix="clip"):
    """Returns a table in which the predicted scene has the probability `sure`."""
    rows = []
    for number, (truth, predicted) in enumerate(pairs):
        row = {"clip": f"{prefix}{number:04d}"}
        if locations is not None:
            row["location"] = locations[number]
        if cities is not None:
            row["city"] = cities[number]
        row["truth"] = truth
        rows.append(
            row | {s: sure if s == predicted else (1 - sure) / (len(scenes) - 1) for s in scenes}
        )
    return pd.DataFrame(rows)


def random_table(seed, clips=90, scenes=SCENES, locations=5):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(scenes)), size=clips)
    truth = np.repeat(scenes, -(-clips // len(scenes)))[:clips]
    place = [f"{scene}-{number % locations}" for number, scene in enumerate(truth)]
    table = pd.DataFrame(
        {"clip": [f"c{i:03d}" for i in range(clips)], "location": place, "truth": truth}
    )
    return table.assign(**dict(zip(scenes, probabilities.T, strict=True)))

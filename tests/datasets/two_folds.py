"""A corpus of four short recordings of two scenes in two folds, as a table and sound files."""

import numpy as np
import soundfile

HEADER = "filename,scene,location,fold"
# Two scenes at two places each, one place of each scene in each fold.
ROWS = {
    "audio/a.wav": "bus,p1,1",
    "audio/b.wav": "park,p2,1",
    "audio/c.wav": "bus,p3,2",
    "audio/d.wav": "park,p4,2",
}


def write_sound(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 800), 8000)


def write(folder, rows):
    """Writes clips.csv, and a sound for each row that has none yet; returns the corpus's folder."""
    lines = [HEADER]
    for seed, (name, cells) in enumerate(rows.items()):
        path = folder / name.replace("\\", "/")
        if not path.exists():
            write_sound(path, seed)
        lines.append(f"{name},{cells}")
    (folder / "clips.csv").write_text("\n".join(lines))
    return folder

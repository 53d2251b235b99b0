"""The floors of docs/architecture.md as a literal, compared with the imports of every file."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# a room may import from floors below its own, and from within itself
FLOORS = (
    {"errors", "lazy", "processors", "shipped", "tracing", "version"},
    {"child_processes", "precision", "system_errors"},
    {"config", "files", "text_tables"},
    {"audio", "downloading", "evaluation", "locks", "stored"},
    {"datasets", "events", "models"},
    {"features"},
    {"training"},
    {"pretraining", "report", "serving"},
    {"app", "grid"},
    {"cli", "hear"},
)
NO_TENSORFLOW = (
    "crossask",
    "crossask.errors",
    "crossask.config",
    "crossask.datasets",
    "crossask.datasets.soundscapes",
    "crossask.training.run_folder",
    "crossask.evaluation",
    "crossask.report",
    "crossask.audio.reading",
    "crossask.models",
    "crossask.cli.train",
    "crossask.cli.predict",
    "crossask.cli.app",
)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "crossask").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "crossask"
        ):
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("crossask.")
            }
    return rooms - {"__version__"}


def test_every_room_is_on_one_floor():
    rooms = {room_of(path) for path in (ROOT / "crossask").rglob("*.py")} - {"__init__"}
    on_floors = [room for floor in FLOORS for room in floor]
    assert sorted(on_floors) == sorted(rooms)


def test_the_page_draws_the_same_floors():
    floors = [sorted(floor) for floor in FLOORS]
    drawing = re.search(
        r"## Floors.*?```\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL
    )
    # After three blanks a line says what the rooms are for.
    drawn = [re.split(r" {3,}", line.strip())[0] for line in drawing[1].splitlines()]
    assert [sorted(names.split()) for names in reversed(drawn)] == floors


def test_imports_go_down_never_up_never_sideways():
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    wrong = []
    for path in sorted((ROOT / "crossask").rglob("*.py")):
        room = room_of(path)
        if room == "__init__":
            continue
        wrong += [
            f"{path.name}: {room} -> {other}"
            for other in imported_rooms(path)
            if other != room and floor_of[other] >= floor_of[room]
        ]
    assert wrong == []


def test_model_garden_has_one_importer():
    importers = {
        path.name
        for path in (ROOT / "crossask").rglob("*.py")
        if "from official" in path.read_text() or "import official" in path.read_text()
    }
    assert importers == {"devices.py"}


def test_keras_is_tf_keras_everywhere():
    files = []
    for folder in ("crossask", "experiments", "tests", "benchmarks"):
        files += (ROOT / folder).rglob("*.py")
    files.remove(Path(__file__))
    for path in files:
        # Networks of others may be written in Keras 3.
        if "peers" in path.parts:
            continue
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "keras" not in names, path
        assert "tf.keras" not in path.read_text(), path


def test_experiments_import_the_configuration_alone():
    for path in (ROOT / "experiments").glob("*.py"):
        assert imported_rooms(path) == {"config"}, path


def test_tensorflow_is_not_imported_before_it_is_needed():
    lines = "; ".join(f"import {name}" for name in NO_TENSORFLOW)
    code = (
        f"{lines}; import sys; from crossask import config; "
        "config.read_experiments('experiments/demo.py'); "
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

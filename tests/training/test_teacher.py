"""The tables of a teacher: read whole, and the same from the first step of a run to its last."""

import types

import damage
import numpy as np
import pytest

from crossask import config, stored
from crossask.errors import DataError
from crossask.training import run_folder, teacher

NAMED = {"ids": lambda value: getattr(value, "__name__", value)}
IDS = [f"{number}.wav" for number in range(8)]
CORPUS = types.SimpleNamespace(scenes=("bus", "park"))


@pytest.fixture
def table(tmp_path):
    lines = ["clip,truth,park,bus"]
    for number, clip in enumerate(IDS):
        lines.append(f"{clip},bus,0.{number}25,{1 - 0.1 * number - 0.025:.3f}")
    path = tmp_path / "teacher.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def student_of(*tables):
    return config.DistillationConfig(teacher=" ; ".join(map(str, tables)))


def begun(folder, row):
    """Returns a run whose record is that of the start of its training."""
    run = run_folder.run_at(folder, row.name, "1", 0)
    digest = teacher.digest(row.distillation)
    record = {"experiment": config.to_dict(row), "teacher_digest": digest}
    run.folder.mkdir(parents=True)
    stored.write_json(run.path("config.json"), record)
    return run


def test_the_probabilities_are_means_in_the_order_of_the_scenes(table):
    other = table.with_name("other.csv")
    other.write_text(table.read_text().replace("park,bus", "bus,park"))
    found = teacher.probabilities(student_of(table), CORPUS, IDS[:2])
    np.testing.assert_allclose(found["0.wav"], [0.975, 0.025])
    np.testing.assert_allclose(found["1.wav"], [0.875, 0.125])
    both = teacher.probabilities(student_of(table, other), CORPUS, IDS[:2])
    np.testing.assert_allclose(both["0.wav"], [0.5, 0.5])
    assert teacher.probabilities(student_of(), CORPUS, IDS) is None


def test_a_teacher_that_knows_other_scenes_is_refused(table):
    lines = [f"{line},0.0" for line in table.read_text().splitlines()]
    lines[0] = "clip,truth,park,bus,tram"
    table.write_text("\n".join(lines) + "\n")
    # Nothing was given to the other scene.
    assert len(teacher.probabilities(student_of(table), CORPUS, IDS)) == len(IDS)
    lines[1] = "0.wav,bus,0.1,0.2,0.7"
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"has other scenes, too: .* sum to 0\.3"):
        teacher.probabilities(student_of(table), CORPUS, IDS)


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
def test_a_table_that_changes_after_the_start_of_the_training_is_noticed(tmp_path, table, damaging):
    row = config.Experiment("student", distillation=student_of(table))
    run = begun(tmp_path, row)
    teacher.check(run, teacher.digest(row.distillation))

    def go_on():
        teacher.check(run, teacher.digest(row.distillation))

    damaging(table)
    _, error = damage.outcome(go_on)
    assert damage.names(error, table)


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
def test_nothing_is_learned_from_a_table_that_is_not_whole(table, damaging):
    whole = teacher.probabilities(student_of(table), CORPUS, IDS)
    damaging(table)
    found, error = damage.outcome(teacher.probabilities, student_of(table), CORPUS, IDS)
    if error is None:
        for clip, expected in whole.items():
            # A changed digit after the third may as well be another rounding.
            np.testing.assert_allclose(found[clip], expected, atol=1e-3)
    else:
        assert damage.names(error, table)


def test_a_run_of_an_earlier_version_has_no_record_of_its_teacher(tmp_path, table):
    row = config.Experiment("student", distillation=student_of(table))
    run = begun(tmp_path, row)
    record = run.read("config.json")
    del record["teacher_digest"]
    stored.write_json(run.path("config.json"), record)
    teacher.check(run, teacher.digest(row.distillation))


def test_a_run_without_a_teacher_does_not_go_on_with_one(tmp_path, table):
    run = begun(tmp_path, config.Experiment("student"))
    with pytest.raises(DataError, match="began with other tables"):
        teacher.check(run, teacher.digest(student_of(table)))

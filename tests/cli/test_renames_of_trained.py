"""Commands on trained models are killed just before each rename; the same command then goes on.

Commands that need nothing trained are in tests/test_renames.py.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import renames
import small_corpus
from every_verb import call, run_every_verb

from crossask import locks, pretraining, serving, training
from crossask.features.cache import prepare_features
from crossask.serving import litert
from crossask.training import run_folder


@pytest.mark.faults
@pytest.mark.trains
def test_evaluation_goes_on_after_any_rename(trained, corpus, features, tmp_path):
    run = trained(small_corpus.FEATURE_BASED)
    cache = prepare_features(corpus, small_corpus.FEATURE_BASED, features)

    def evaluate(folder: Path) -> None:
        if not folder.exists():
            shutil.copytree(run.folder, folder)
        copy = run_folder.Run(folder, run.row, run.fold, run.seed)
        with locks.of_folder(folder):
            training.evaluate_run(copy, corpus, cache)
            training.predict_training_clips(copy, corpus, cache)
            training.evaluate_swapped(copy, corpus, cache)

    renames.assert_goes_on(evaluate, tmp_path, 4)


@pytest.mark.faults
@pytest.mark.trains
def test_training_goes_on_after_any_rename(corpus, features, tmp_path, eagerly):
    row = small_corpus.FEATURE_BASED
    cache = prepare_features(corpus, row, features)

    def train(folder: Path) -> None:
        training.train(run_folder.run_at(folder, row.name, "1", 0), row, corpus, cache)

    def read(folder: Path) -> dict[str, Any]:
        run = run_folder.run_at(folder, row.name, "1", 0)
        result = dict(run.read("result.json"))
        # Only what states times may differ.
        del result["seconds"]
        weights = run.path("best.npz").read_bytes()
        return {"result": result, "weights": weights, "files": sorted(names_in(run.folder))}

    # config.json, statistics.npz, best.npz, a history for each epoch and result.json
    renames.assert_goes_on(train, tmp_path, 7, read)


def names_in(folder: Path) -> list[str]:
    return [name for name in renames.contents(folder) if not name.startswith("checkpoints/")]


@pytest.mark.faults
def test_pretraining_a_trunk_goes_on_after_any_rename(tmp_path, eagerly):
    small_corpus.write_tagged_embeddings(tmp_path / "events.npz", 16)
    settings = pretraining.TrunkPretrainingConfig(
        small_corpus.VEM, epochs=2, batch_size=8, learning_rate=1e-2
    )

    def pretrain(folder: Path) -> None:
        out = folder / "trunk.npz"
        with locks.of_path(out):
            pretraining.pretrain_trunk(settings, tmp_path / "events.npz", out)

    # the claim, the best weights, a history for each epoch, the report and the trunk
    renames.assert_goes_on(
        pretrain, tmp_path, 6, lambda folder: (folder / "trunk.npz").read_bytes()
    )


@pytest.mark.faults
@pytest.mark.trains
@pytest.mark.parametrize("suffix", ["", ".tflite"])
def test_an_export_goes_on_after_any_rename(exported, tmp_path, monkeypatch, suffix):
    run = exported(small_corpus.FA_24_KHZ).run
    # The network is converted once; the renames come after it.
    convert = litert._convert
    converted = []

    def convert_once(*arguments) -> bytes:
        if not converted:
            converted.append(convert(*arguments))
        return converted[0]

    monkeypatch.setattr(litert, "_convert", convert_once)

    def export(folder: Path) -> None:
        out = folder / f"model{suffix}"
        write = serving.export_litert if suffix else serving.export_run
        with locks.of_path(out):
            write(run, out)

    renames.assert_goes_on(
        export, tmp_path, 2 if suffix else 1, lambda folder: sorted(renames.contents(folder))
    )


@pytest.mark.faults
@pytest.mark.trains
def test_a_report_goes_on_after_any_rename(made_once, tmp_path):
    work = made_once("commands", run_every_verb)

    def report(folder: Path) -> None:
        assert call("report", f"--model_dir={work}/runs", f"--out={folder}") == 0

    def read(folder: Path) -> dict[str, bytes]:
        found = renames.contents(folder)
        # The report states its date, and PDFs theirs.
        return {name: found[name] for name in found if name.endswith((".csv", ".png", ".txt"))}

    renames.assert_goes_on(report, tmp_path, 8, read)

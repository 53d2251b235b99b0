"""LiteRT files beside the SavedModel of the same run: size, agreement, accuracy and time a clip.

python benchmarks/litert_table.py CLIPS.csv WORK name=RUN [name=RUN ...] [--json=OUT.json]

CLIPS.csv is the table that the runs were trained on. Files are written to the folder WORK where they are not there yet;
int8 is calibrated on clips of the run's training fold. Agreement is with the SavedModel's top scene on all clips, accuracy on the
clips of the fold that the run has not seen. Two processes, one with one thread and one with two, take turns, a clip each, and
in it the models take turns: a busy moment of the machine falls on all alike.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

THREADS = (1, 2)
KINDS = ("SavedModel", "float32", "float16", "int8")


def measure(table: str, work: Path, named: dict, json_path: str):
    from crossask.datasets import read_corpus

    corpus, found = read_corpus("folder", table), {}
    for name, folder in named.items():
        export(name, folder, corpus, work)
        found[name] = compared(work / name, corpus, fold_of(folder))
    lines = [
        [
            "model",
            "file",
            "size",
            "top scene as SavedModel",
            "accuracy",
            *(f"ms a clip, {n} thread{'s'[: n - 1]}" for n in THREADS),
        ]
    ]
    for name, rows in found.items():
        for kind, row in rows.items():
            times = [f"{row['median_ms'][str(threads)]:.1f}" for threads in THREADS]
            lines.append(
                [
                    name,
                    kind,
                    f"{row['bytes'] / 1000:,.0f} kB",
                    f"{row['agreement']:.2%}",
                    f"{row['accuracy']:.2%}",
                    *times,
                ]
            )
    lines.insert(1, ["---"] * len(lines[0]))
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))
    if json_path:
        Path(json_path).write_text(
            json.dumps({"clips": len(corpus.clips), "models": found}, indent=2) + "\n"
        )


def fold_of(folder: str) -> str:
    from crossask.training import run_folder

    (run,) = run_folder.find_runs(folder)
    return run.fold


def export(name: str, folder: str, corpus, work: Path):
    """The run's four files in WORK/name."""
    from crossask import serving
    from crossask.training import run_folder

    (run,) = run_folder.find_runs(folder)
    if not (work / name / "SavedModel").exists():
        serving.export_run(run, work / name / "SavedModel")
    training = set(corpus.fold(run.fold).train)
    calibration = work / name / "calibration.csv"
    with open(calibration, "w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["filename"],
                *([Path(clip.path).resolve()] for clip in corpus.clips if clip.id in training),
            ]
        )
    for precision in serving.PRECISIONS:
        path = work / name / f"{precision}.tflite"
        if not path.exists():
            serving.export_litert(
                run, path, precision, calibration if precision == "int8" else None
            )


def compared(folder: Path, corpus, fold: str) -> dict:
    """{kind: bytes, agreement, accuracy, median_ms by threads}"""
    workers = {threads: worker(folder, threads) for threads in THREADS}
    answers, seconds = [], {threads: [] for threads in THREADS}
    for clip in corpus.clips:
        for threads, process in workers.items():
            print(clip.path, file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            seconds[threads].append(answer["seconds"])
            if threads == 1:
                answers.append(answer["scenes"])
    for process in workers.values():
        process.stdin.close()
        process.wait()
    unseen, rows = set(corpus.fold(fold).evaluation), {}
    for kind in KINDS:
        path = folder / (kind if kind == "SavedModel" else f"{kind}.tflite")
        right = [
            heard[kind] == clip.scene
            for heard, clip in zip(answers, corpus.clips, strict=True)
            if clip.id in unseen
        ]
        rows[kind] = {
            "bytes": sum(
                file.stat().st_size
                for file in ([path] if path.is_file() else path.rglob("*"))
                if file.is_file()
            ),
            "agreement": statistics.mean(heard[kind] == heard["SavedModel"] for heard in answers),
            "accuracy": statistics.mean(right),
            "median_ms": {
                str(n): 1000 * statistics.median(times[kind] for times in seconds[n])
                for n in THREADS
            },
        }
    return rows


def worker(folder: Path, threads: int):
    command = [sys.executable, __file__, "-", str(folder), f"--threads={threads}"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def answer_paths(folder: Path, threads: int):
    """For each path on standard input a line of JSON: {"scenes": {kind: name}, "seconds": {kind: seconds}}."""
    import numpy as np
    import tensorflow as tf

    from crossask import config
    from crossask.serving import calibration, litert

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    card = json.loads((folder / "float32.json").read_text())
    experiment = config.from_dict(config.Experiment, card["experiment"])
    served = tf.saved_model.load(str(folder / "SavedModel")).signatures["serving_default"]
    rate = tf.constant(card["sample_rate_hz"], tf.int32)
    functions = {
        "SavedModel": lambda clip: served(
            waveform=tf.constant(clip[np.newaxis]), sample_rate_hz=rate
        )["probabilities"].numpy()
    }
    for precision in litert.PRECISIONS:
        opened = litert.Interpreter(folder / f"{precision}.tflite", threads)
        functions[precision] = lambda clip, opened=opened: opened.answers([clip])
    for function in functions.values():
        function(
            np.zeros((card["samples"], card["channels"]), np.float32)
        )  # the first call is slower
    for number, line in enumerate(sys.stdin):
        clip, scenes, seconds = calibration.clip_at(line.strip(), experiment.features), {}, {}
        for turn in range(len(KINDS)):
            kind = KINDS[(turn + number) % len(KINDS)]
            start = time.perf_counter()
            probabilities = functions[kind](clip)
            seconds[kind] = time.perf_counter() - start
            scenes[kind] = card["scenes"][int(probabilities[0].argmax())]
        print(json.dumps({"scenes": scenes, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("work", type=Path)
    parser.add_argument("runs", nargs="*", help="name=folder")
    parser.add_argument("--json", default="")
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        answer_paths(given.work, given.threads)
    else:
        given.work.mkdir(parents=True, exist_ok=True)
        measure(
            given.table, given.work, dict(pair.split("=", 1) for pair in given.runs), given.json
        )

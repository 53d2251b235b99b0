"""Remakes the stored results: trains, evaluates and reports the studies of studies.py.

  python experiments/results/make_results.py --out=results_output --data ESC10=FOLDER [--dry_run]

`make results` calls it in the folder of the repository. If it is killed, run it again: it goes on
where it stopped. A finished study is repeated if its rows, its seeds or its data change. Remove
OUT/<study> to repeat it with another version of the code, and also after a change of the data:
training refuses runs that were trained on other data. A study whose data is not given is skipped.
Runs that no longer belong to a study are moved to OUT/<study>/outdated.
"""

import argparse
import dataclasses
import hashlib
import itertools
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from studies import CORPORA, STUDIES, VARIABLES, Command, Corpus, Study, Training, needs

from crossask import config, files, locks
from crossask.cli.command import (
    PREEMPTED,
    SOME_FAILED,
    USER_ERROR,
    with_errors_in_two_lines,
)
from crossask.config.experiment_files import OF_NO_RUN
from crossask.errors import CrossaskError, DataError
from crossask.report import runs as report_runs
from crossask.stored import sha256
from crossask.training import run_folder

RESULTS = Path(__file__).parent
# The exit codes of the commands.
ALL_FAILED = USER_ERROR
STOPPED = PREEMPTED


class StudyError(Exception):
    """A command of a study failed."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the studies are computed, and what is given.

    Attributes:
      out: Folder of all output.
      variables: Name of a variable of `make` -> its value; "" if it is not given.
      corpora: Name of a corpus -> the corpus.
      stored: Folder of the JSON files.
      jobs: Runs that train at the same time.
    """

    out: Path
    variables: Mapping[str, str]
    corpora: Mapping[str, Corpus]
    stored: Path = RESULTS
    jobs: int = 2

    def folder(self, study: Study) -> Path:
        """Returns the folder of a study's output."""
        return self.out / study.name

    def fill(self, text: str, study: Study) -> str:
        """Returns a text of studies.py with everything in braces replaced."""
        programs = Path(sys.executable).parent
        return text.format(
            out=self.out,
            runs=self.folder(study) / "runs",
            stored=self.folder(study) / f"{study.name}.json",
            bin=programs,
            python=sys.executable,
            **self.variables,
        )

    def command(self, verb: str, *arguments: str) -> Command:
        """Returns the command line of `crossask-VERB`, as it is installed beside this Python."""
        return (str(Path(sys.executable).parent / f"crossask-{verb}"), *arguments)


def make_results(studies: Sequence[Study], settings: Settings, is_dry_run: bool = False) -> int:
    """Prints the plan, computes the studies, and prints which JSON files changed.

    Args:
      studies: The studies.
      settings: Where they are computed, and what is given.
      is_dry_run: Whether only the plan and its commands are printed.

    Returns:
      The exit code: 0; 2 if every study failed that was computed, 3 if some of them did.
    """
    reasons = {study.name: missing_data(study, settings) for study in studies}
    print_plan(studies, settings, reasons)
    possible = [study for study in studies if not reasons[study.name]]
    if is_dry_run:
        for study in possible:
            print_commands(study, settings)
        return 0
    failed = []
    changed = []
    for study in possible:
        try:
            # Another `make results` in the same folder would train and move the same runs.
            with locks.of_path(settings.folder(study)):
                if not is_finished(study, settings):
                    compute(study, settings)
            if store(study, settings):
                changed.append(f"{study.name}.json")
        except (StudyError, CrossaskError) as error:
            # The other studies are computed all the same.
            print(f"{study.name}: {error}", file=sys.stderr, flush=True)
            failed.append(study.name)
    print(f"\nChanged in {settings.stored}: {', '.join(changed) if changed else 'nothing'}.")
    if changed:
        print("Run `make docs` to write these results into the documentation.")
    if not failed:
        return 0
    print(f"Failed: {', '.join(failed)}. Run the same command to go on.", file=sys.stderr)
    return ALL_FAILED if len(failed) == len(possible) else SOME_FAILED


def missing_data(study: Study, settings: Settings) -> str:
    """Returns why a study cannot be computed; "" if it can."""
    reasons = []
    for name in needs(study, settings.corpora):
        value = settings.variables.get(name, "")
        if not value:
            reasons.append(f"{name}= is not given ({VARIABLES[name]})")
        elif "://" not in value and not Path(value).exists():
            reasons.append(f"{name}={value} does not exist")
    return "; ".join(reasons)


def rows_of(training: Training, study: Study, settings: Settings) -> list[config.Experiment]:
    """Returns the rows of one training, with all changes."""
    selected = f":{','.join(training.rows)}" if training.rows else ""
    override = settings.fill(training.override, study)
    rows = []
    for row in config.read_experiments(f"{training.file}{selected}"):
        if row.name not in training.without:
            rows.append(config.resolve(row, (), override))
    return rows


def print_plan(studies: Sequence[Study], settings: Settings, reasons: Mapping[str, str]) -> None:
    """Prints a line for each study, and how long they take."""
    total = 0.0
    are_known = True
    for study in studies:
        state = "to do"
        if reasons[study.name]:
            state = f"skipped: {reasons[study.name]}"
        elif is_finished(study, settings):
            state = "finished"
        elif study.minutes is None:
            are_known = False
        else:
            total += study.minutes
        # The number of runs does not depend on the data, so skipped studies have it, too.
        runs = 0
        for training in study.trainings:
            for row in rows_of(training, study, _with_names(settings)):
                runs += len(row.folds) * len(training.seeds)
        print(f"{study.name:<26} {runs:>4} runs  {_time(study):<18} {state}")
    others = "" if are_known else ", without the studies whose time is not known"
    print(f"To do: {total:.0f} min on two CPU cores{others}.", flush=True)


def print_commands(study: Study, settings: Settings) -> None:
    """Prints the commands of a study."""
    print(f"\n# {study.name}")
    for command in commands(study, settings):
        print(_shown(command))


def commands(study: Study, settings: Settings) -> Iterator[Command]:
    """Yields the commands that compute a study, in their order."""
    for _corpus, command in _preparations(study.corpus, study, settings):
        yield command
    yield from _commands_of_runs(study, settings)


def is_finished(study: Study, settings: Settings) -> bool:
    """Returns whether a study is finished with its present rows, seeds and data."""
    marker = settings.folder(study) / "finished.json"
    if not marker.is_file() or not (settings.folder(study) / f"{study.name}.json").is_file():
        return False
    return json.loads(marker.read_text()) == _digest(study, settings)


def compute(study: Study, settings: Settings) -> None:
    """Runs the commands of a study.

    Raises:
      StudyError: A command failed.
    """
    print(f"\n== {study.name} ==", flush=True)
    start_seconds = time.monotonic()
    # crossask-train rejects a folder with another row, and crossask-report reads every run.
    _set_outdated_runs_aside(study, settings)
    _prepare(study, settings)
    # A benchmark without trainings writes its file before anything else does.
    settings.folder(study).mkdir(parents=True, exist_ok=True)
    for command in _commands_of_runs(study, settings):
        _run(command)
    _complete(study, settings)
    files.write_json(settings.folder(study) / "finished.json", _digest(study, settings))
    # What an earlier, stopped call has computed is not in this time.
    minutes = (time.monotonic() - start_seconds) / 60
    print(f"\n{study.name} took {minutes:.1f} min, {settings.jobs} runs at a time.", flush=True)


def store(study: Study, settings: Settings) -> bool:
    """Copies the JSON file of a finished study, and returns whether the stored one changed."""
    # The copy in the output folder remains, so that a finished study need not be reported again.
    content = (settings.folder(study) / f"{study.name}.json").read_bytes()
    stored = settings.stored / f"{study.name}.json"
    if stored.is_file() and stored.read_bytes() == content:
        return False
    with files.writing(stored) as temporary:
        temporary.write_bytes(content)
    return True


def make_command(study: Study, settings: Settings) -> str:
    """Returns the command that remakes a JSON file; the values of variables are left out."""
    variables = [f"{name}=..." for name in needs(study, settings.corpora)]
    return " ".join(["make results", f"STUDIES={study.name}", *variables])


def main() -> int:
    """Parses the command line and computes the studies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", default="", help="names, separated by commas; default: all")
    parser.add_argument("--out", type=Path, default=Path("results_output"), help="output folder")
    parser.add_argument("--jobs", type=int, default=2, help="runs that train at the same time")
    parser.add_argument("--dry_run", action="store_true", help="print the plan and stop")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="; ".join(f"{name}: {about}" for name, about in VARIABLES.items()),
    )
    arguments = parser.parse_args()
    variables = dict.fromkeys(VARIABLES, "")
    for pair in arguments.data:
        name, _, value = pair.partition("=")
        if name not in variables:
            parser.error(f"--data {pair}: the names are {', '.join(VARIABLES)}")
        variables[name] = value
    known = {study.name: study for study in STUDIES}
    wanted = [name.strip() for name in arguments.studies.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            parser.error(f"there is no study {name!r}; the studies are {', '.join(known)}")
    settings = Settings(arguments.out, variables, CORPORA, jobs=arguments.jobs)
    studies = [known[name] for name in wanted or known]
    signal.signal(signal.SIGTERM, _stop)
    # Experiment files and paths may have mistakes of the user.
    return with_errors_in_two_lines(lambda: make_results(studies, settings, arguments.dry_run))


def _preparations(name: str, study: Study, settings: Settings) -> Iterator[tuple[str, Command]]:
    """Yields (name of the corpus, command that prepares it)."""
    corpus = settings.corpora[name]
    if corpus.after:
        yield from _preparations(corpus.after, study, settings)
    if corpus.preparation:
        yield name, tuple(settings.fill(word, study) for word in corpus.preparation)


def _commands_of_runs(study: Study, settings: Settings) -> Iterator[Command]:
    """Yields the commands that train, evaluate and report; each of them goes on after a kill."""
    runs = f"--model_dir={settings.folder(study) / 'runs'}"
    for training in study.trainings:
        names = ",".join(row.name for row in rows_of(training, study, settings))
        override = settings.fill(training.override, study)
        yield settings.command(
            "train",
            f"--experiment={training.file}:{names}",
            f"--data_dir={settings.fill(settings.corpora[study.corpus].data, study)}",
            f"--features_dir={settings.out / 'features' / study.corpus}",
            runs,
            f"--seeds={','.join(map(str, training.seeds))}",
            *([f"--params_override={override}"] if override else []),
            f"--jobs={settings.jobs}",
        )
        # The next training may read what these write.
        for row, flag in training.evaluations:
            yield settings.command("evaluate", f"{runs}/{row}", flag)
    if study.trainings:
        yield settings.command("evaluate", runs)
    if study.benchmark:
        yield tuple(settings.fill(word, study) for word in study.benchmark)
        return
    folder = settings.folder(study)
    yield settings.command(
        "report",
        runs,
        f"--out={folder / 'report'}",
        f"--baseline={study.baseline}",
        f"--json={folder / study.name}.json",
    )


def _prepare(study: Study, settings: Settings) -> None:
    """Runs the preparations that were not run yet with these commands and this data."""
    for corpus, command in _preparations(study.corpus, study, settings):
        record = [*command, *_data_digests(settings.corpora[corpus].needs, settings)]
        marker = settings.out / "prepared" / f"{corpus}.json"
        if marker.is_file() and json.loads(marker.read_text()) == record:
            continue
        data = Path(settings.fill(settings.corpora[corpus].data, study))
        data.parent.mkdir(parents=True, exist_ok=True)
        _run(command)
        files.write_json(marker, record)


def _data_digests(names: Sequence[str], settings: Settings) -> list[str]:
    """Returns the values of variables; those of files and folders with digests of their content."""
    digests = []
    for name in names:
        value = settings.variables.get(name, "")
        digests.append(f"{name}={value} {_digest_of_files(Path(value)) if value else ''}")
    return digests


def _digest_of_files(path: Path) -> str:
    """Returns a digest of a file, or of all files of a folder; "" if there is neither."""
    if not path.is_dir():
        return sha256(path) if path.is_file() else ""
    files_inside = sorted(found for found in path.rglob("*") if found.is_file())
    content = [(str(found.relative_to(path)), sha256(found)) for found in files_inside]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _run(command: Command) -> None:
    """Runs a command, and stops it when this process is stopped."""
    print(f"\n$ {_shown(command)}", flush=True)
    with subprocess.Popen(command) as process:
        try:
            code = process.wait()
        except BaseException:
            # The command saves its state before it ends.
            process.terminate()
            process.wait()
            raise
    if code == STOPPED:
        raise SystemExit(STOPPED)
    if code:
        raise StudyError(f"{Path(command[0]).name} ended with exit code {code}; see above.")


def _stop(_number: int, _frame: Any) -> None:
    """Ends this process after SIGTERM; `_run` stops its command first."""
    raise SystemExit(STOPPED)


def _set_outdated_runs_aside(study: Study, settings: Settings) -> None:
    """Moves runs away whose row, fold or seed is no longer that of the study."""
    folder = settings.folder(study)
    wanted = {}
    for training in study.trainings:
        for row in rows_of(training, study, settings):
            for fold, seed in itertools.product(row.folds, training.seeds):
                wanted[row.name, fold, seed] = _fields_for_run(row)
    try:
        found = run_folder.find_runs(folder / "runs")
    except DataError:
        # There are no runs yet.
        return
    outdated = []
    current = []
    for run in found:
        key = (run.row, run.fold, run.seed)
        if key in wanted and _fields_of_run(run) == wanted[key]:
            current.append(run)
        else:
            outdated.append(run)
    if outdated:
        # A student learned from runs of the study that are about to be replaced.
        outdated += [run for run in current if _has_teacher(run)]
    for run in outdated:
        target = folder / "outdated" / run.folder.relative_to(folder / "runs")
        print(f"{run.title} is not of the study's present rows. Moved to {target}.", flush=True)
        files.remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(run.folder, target)


def _fields_of_run(run: run_folder.Run) -> dict[str, Any] | None:
    """Returns the fields of a run's row; None if this version cannot read them."""
    try:
        return _fields_for_run(run.experiment())
    except CrossaskError:
        return None


def _fields_for_run(row: config.Experiment) -> dict[str, Any]:
    """Returns the fields of a row that crossask-train compares with those of a run.

    Paths are absolute, as crossask-train records them.
    """
    fields = _fields(config.with_absolute_paths(row))
    return {name: value for name, value in fields.items() if name not in OF_NO_RUN}


def _has_teacher(run: run_folder.Run) -> bool:
    return bool(run.experiment().distillation.teacher)


def _complete(study: Study, settings: Settings) -> None:
    """Adds the command to the JSON file of a study, and to a benchmark's versions and machines."""
    folder = settings.folder(study)
    path = folder / f"{study.name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    if study.benchmark and study.trainings:
        runs = report_runs.read_runs(folder / "runs")
        content["versions"] = report_runs.versions(runs)
        content["machines"] = report_runs.machines(runs)
        content["seeds"] = sorted({run.seed for run in runs})
    elif study.benchmark:
        content["versions"] = {name: [found] for name, found in run_folder.versions().items()}
        content["machines"] = [run_folder.machine()]
    content["command"] = make_command(study, settings)
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    with files.writing(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def _digest(study: Study, settings: Settings) -> str:
    """Returns a digest of the rows, seeds, data and commands of a study."""
    content: list[Any] = [list(study.benchmark), study.baseline]
    content += _data_digests(needs(study, settings.corpora), settings)
    content += [list(command) for _, command in _preparations(study.corpus, study, settings)]
    for training in study.trainings:
        content += [list(training.seeds), list(training.evaluations)]
        for row in rows_of(training, study, settings):
            fields = _fields(row)
            del fields["note"]
            content.append(fields)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _fields(row: config.Experiment) -> dict[str, Any]:
    """Returns the fields of a row as JSON contains them."""
    return json.loads(json.dumps(config.to_dict(row)))


def _with_names(settings: Settings) -> Settings:
    """Returns settings in which a variable that is not given has its name as value."""
    variables = {name: settings.variables.get(name) or name for name in VARIABLES}
    return dataclasses.replace(settings, variables=variables)


def _time(study: Study) -> str:
    if study.minutes is None:
        return "time not known"
    measured = "" if study.is_measured else " (estimate)"
    return f"{study.minutes:.0f} min{measured}"


def _shown(command: Command) -> str:
    """Returns a command line as one types it, without the folder of its program."""
    return shlex.join([Path(command[0]).name, *command[1:]])


if __name__ == "__main__":
    sys.exit(main())

"""Changes the code of one package, a place at a time, and runs its tests: `make mutants`.

mutmut reads its settings from the folder where it runs. Each package therefore has a folder of its
own in `mutants`, with links to the code and the tests, in which the results remain: run it again to
go on.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the tests read.
LINKED = ("crossask", "tests", "experiments")


@dataclasses.dataclass(frozen=True)
class Package:
    """What is changed, and which tests have to notice it.

    Attributes:
      tests: The tests.
      left_out: Words in the names of tests that are not run: they take long.
      is_copied: Whether the tests run in a copy of a process that has run them before, in which
        threads do not survive. Otherwise, each change has a process that imports everything anew.
      has_tensorflow: Whether the tests need TensorFlow.
    """

    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    is_copied: bool = False
    has_tensorflow: bool = False


PACKAGES = {
    "evaluation": Package(
        tests=(
            "tests/evaluation/test_calibration.py",
            "tests/evaluation/test_comparison.py",
            "tests/evaluation/test_devices.py",
            "tests/evaluation/test_events.py",
            "tests/evaluation/test_intervals.py",
            "tests/evaluation/test_predictions.py",
            "tests/evaluation/test_scores.py",
        ),
        left_out=(
            "simulates",
            "percentiles_of_one",
            "locations_alone",
            "noise_that",
            "alike",
            "measured_functions",
        ),
        is_copied=True,
    ),
    "datasets": Package(
        tests=(
            "tests/datasets/test_archives.py",
            "tests/datasets/test_cochlscene.py",
            "tests/datasets/test_contradictions.py",
            "tests/datasets/test_file_hashes.py",
            "tests/datasets/test_folder.py",
            "tests/datasets/test_leaks.py",
            "tests/datasets/test_mobile_corpora.py",
            "tests/datasets/test_official_layouts.py",
            "tests/datasets/test_own_recordings.py",
            "tests/datasets/test_soundscapes.py",
            "tests/datasets/test_soundscapes_writing.py",
            "tests/datasets/test_text_tables.py",
            "tests/datasets/test_validation_parts.py",
        ),
        left_out=("processes", "faults", "two_workers", "isolated_events"),
    ),
    "features": Package(
        tests=(
            "tests/features/test_augmentation.py",
            "tests/features/test_controls.py",
            "tests/features/test_feature_cache.py",
            "tests/features/test_samples.py",
            "tests/features/test_shares.py",
            "tests/features/test_verification.py",
        ),
        left_out=("beam", "processes", "faults"),
        has_tensorflow=True,
    ),
}


def settings_of(name: str, package: Package) -> dict[str, str | list[str]]:
    """Returns mutmut's settings for a package."""
    arguments = ["-p", "no:cacheprovider"]
    if package.left_out:
        arguments += ["-k", " and ".join(f"not {word}" for word in package.left_out)]
    settings = {
        "source_paths": [f"crossask/{name}"],
        "also_copy": [*LINKED, "pyproject.toml"],
        "pytest_add_cli_args": arguments,
        "pytest_add_cli_args_test_selection": list(package.tests),
    }
    if not package.is_copied:
        settings |= {"process_isolation": "forkserver", "forkserver_warmup": "none"}
    return settings


def write_folder(folder: Path, settings: dict[str, str | list[str]]) -> None:
    """Writes a folder in which mutmut runs: links to the code, and its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    project = (ROOT / "pyproject.toml").read_text()
    # JSON's strings and lists of strings are TOML, too.
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "pyproject.toml").write_text("\n".join([project, "[tool.mutmut]", *lines, ""]))


def main() -> int:
    """Runs mutmut, and returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", choices=PACKAGES)
    parser.add_argument("changes", nargs="*", help="patterns of names of changes (all)")
    parser.add_argument("--module", help="the only module to change (all of the package)")
    parser.add_argument("--tests", nargs="*", help="files of tests (all of the package)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options = parser.parse_args()
    package = PACKAGES[options.package]
    if options.tests:
        package = dataclasses.replace(package, tests=tuple(options.tests))
    settings = settings_of(options.package, package)
    if options.module:
        settings["only_mutate"] = [f"crossask/{options.package}/{options.module}.py"]
    folder = ROOT / "mutants" / options.package
    write_folder(folder, settings)
    environment = dict(os.environ)
    if not package.has_tensorflow:
        environment["CROSSASK_TESTS_WITHOUT_TENSORFLOW"] = "1"
    mutmut = [sys.executable, "-m", "mutmut"]
    run = [*mutmut, "run", f"--max-children={options.jobs}", *options.changes]
    done = subprocess.run(run, cwd=folder, env=environment, check=False)
    # Of changes that are selected, `run` has printed the results.
    if done.returncode == 0 and not options.changes:
        done = subprocess.run([*mutmut, "results"], cwd=folder, env=environment, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

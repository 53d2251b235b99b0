"""What Windows does not have: modules of Unix, and a harmless os.kill."""

import subprocess
import sys

from crossask import files

# Modules of the standard library that only Unix has.
IMPORT_ALL = """
import importlib, pkgutil, sys

for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios"):
    sys.modules[name] = None
import crossask

for module in pkgutil.walk_packages(crossask.__path__, "crossask."):
    # Packages of extras import modules that may be missing.
    if not module.name.startswith(("crossask.app", "crossask.features.beam")):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_every_module_is_imported_without_modules_of_unix():
    process = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert "crossask.grid.preflight" in process.stdout.split()


def test_no_process_is_touched_to_find_out_whether_it_runs(monkeypatch):
    def kill(process, number):
        raise AssertionError(f"{process} would have ended")

    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(files.os, "kill", kill)
    assert files._is_running(1)

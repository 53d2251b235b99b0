"""Reads what setup.py says, also where an older version of it is installed."""

import runpy
from pathlib import Path

import pytest
import setuptools

SETUP = Path(__file__).parents[1] / "setup.py"


def requirements(monkeypatch: pytest.MonkeyPatch, extra: str = "") -> list[str]:
    """Returns what setup.py requires with one extra; "" is the core alone."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    runpy.run_path(str(SETUP))
    found = list(given["install_requires"])
    if extra:
        found += given["extras_require"][extra]
    return found

"""The notebook of the documentation runs from its first cell to its last."""

import os
import sysconfig
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


@pytest.mark.trains
@pytest.mark.processes
def test_the_notebook_runs(real_data, tmp_path, monkeypatch):
    # Tests use no network: YAMNet is taken from a folder instead of being fetched.
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "yamnet").symlink_to(real_data("yamnet_float"))
    monkeypatch.setenv("CROSSASK_CACHE_DIR", str(cache))
    monkeypatch.setenv("PATH", f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(NOTEBOOK, 4)
    nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert (tmp_path / "models" / "report" / "report.html").is_file()

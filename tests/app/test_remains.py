"""The temporary folder of the page, and what a killed page has left."""

import os
import subprocess
import sys
import tempfile

from crossask import files


def dead_process():
    """Returns the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_dead_process_has_left_is_removed_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = f"page.{files._HOST}-"
    left_over = tmp_path / f"{own}{dead_process()}-abc"
    (left_over / "sounds").mkdir(parents=True)
    (left_over / "sounds" / "upload.wav").write_bytes(b"sound")
    alive = tmp_path / f"{own}{os.getppid()}-abc"
    other_program = tmp_path / f"other.{files._HOST}-{dead_process()}-abc"
    other_machine = tmp_path / f"page.{files._HOST}x-{dead_process()}-abc"
    kept = tmp_path / "kept"
    for folder in (alive, other_program, other_machine, kept):
        folder.mkdir()
    link = tmp_path / f"{own}{dead_process()}-link"
    link.symlink_to(kept)
    with files.working_folder("page") as folder:
        assert not left_over.exists()
        for path in (alive, other_program, other_machine, kept, link):
            assert path.exists()
        assert folder.parent == tmp_path
        assert folder.name.startswith(f"{own}{os.getpid()}-")
        (folder / "upload.wav").write_bytes(b"sound")
    assert not folder.exists()


def test_in_a_container_the_killed_page_had_the_same_number(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left_over = tmp_path / f"page.{files._HOST}-{os.getpid()}-abc"
    (left_over / "sounds").mkdir(parents=True)
    with files.working_folder("page") as first:
        assert not left_over.exists()
        # That of another thread is in use.
        with files.working_folder("page"):
            assert first.exists()

"""Requests that fail: no stack trace, no detail of the server, and no file that stays."""

import errno
import os
import shutil
import socket
import types

import pytest
from app import made_up

httpx = pytest.importorskip("httpx")
gradio = pytest.importorskip("gradio")

from crossask.app import failures, page  # noqa: E402

FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def address(monkeypatch):
    """Yields the address of a page whose model predicts nothing."""
    model = types.SimpleNamespace(card=made_up.CARD, scenes=made_up.CARD["scenes"])
    monkeypatch.setattr(page, "load_models", lambda *_: {"made up": model})
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with page.serve(["made up"], port=port) as url:
        yield url


def events_of(address, name, values):
    """Returns the text of the events that answer a call with made-up values."""
    call = f"{address}gradio_api/call/{name}"
    event = httpx.post(call, json={"data": values}).json()["event_id"]
    return httpx.get(f"{call}/{event}").text


def test_made_up_requests_are_answered_without_a_stack_trace(address, capfd):
    odd = ["x", 3, [], {}, FILE, {**FILE, "path": ["a"]}, {**FILE, "path": "a", "url": "file:///"}]
    for value in odd:
        text = events_of(address, "listen", [value])
        assert "event: error" in text
        assert "choose it again" in text
    unknown = httpx.post(f"{address}gradio_api/call/nothing", json={"data": []})
    other_event = {"data": [], "fn_index": 99, "session_hash": "x"}
    outside = httpx.post(f"{address}gradio_api/queue/join", json=other_event)
    for answer in (unknown, outside):
        assert (answer.status_code, answer.text) == (500, failures.NOT_ANSWERED)
    written = "".join(capfd.readouterr())
    assert "Traceback" not in written
    assert "passwd" not in written


def test_the_page_downloads_no_file_from_an_address_in_a_request(address, monkeypatch):
    downloaded = []

    async def download(url, cache_dir):
        downloaded.append(url)
        raise OSError("no network")

    monkeypatch.setattr(gradio.processing_utils, "async_ssrf_protected_download", download)
    sound = {**FILE, "path": "https://sounds.example/large.wav"}
    for value in (sound, [sound], {"value": sound}):
        text = events_of(address, "listen", [value])
        assert "event: error" in text
        assert failures.ADDRESS_GIVEN in text
    assert downloaded == []


def test_a_request_that_is_no_upload_has_a_largest_size(address):
    def in_pieces():
        yield b'{"data": ["'
        for _ in range(12):
            yield b"x" * 1_000_000
        yield b'"]}'

    # The last word of the second path is that of uploads, whose size has another limit.
    for content, path in (
        (b"".join(in_pieces()), "call/listen"),
        (in_pieces(), "call/listen"),
        (in_pieces(), "run/upload"),
    ):
        headers = {"Content-Type": "application/json"}
        call = f"{address}gradio_api/{path}"
        with httpx.Client() as client:
            try:
                status = client.post(call, content=content, headers=headers).status_code
            except httpx.WriteError:
                # The answer came before all was sent.
                status = 413
        assert status in (400, 413)
    sound = {"files": ("a.wav", b"x" * 12_000_000)}
    assert httpx.post(f"{address}gradio_api/upload", files=sound).status_code == 200


def test_a_visitor_may_leave_during_an_upload(address, capfd):
    host, port = address.removeprefix("http://").strip("/").split(":")
    upload = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=XX\r\n\r\n"
        '--XX\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\nsound'
    )
    for _ in range(3):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(upload.encode())
    assert httpx.get(address).status_code == 200
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_a_broken_upload_left_is_removed_when_it_is_old(tmp_path):
    left = tmp_path / "tmpabc"
    classified = tmp_path / "0123" / "a.wav"
    classified.parent.mkdir()
    for path in (left, classified):
        path.write_bytes(b"sound")
    failures.remove_old_files(tmp_path, seconds=60)
    assert left.exists()
    assert classified.exists()
    failures.remove_old_files(tmp_path, seconds=-60)
    assert os.listdir(tmp_path) == ["0123"]
    assert not classified.exists()


def test_old_uploads_are_removed_beside_a_folder_that_vanishes_and_a_file_that_stays(
    tmp_path, monkeypatch, caplog
):
    for name in ("0/a.wav", "1/b.wav", "2/c.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"sound")
    scandir = os.scandir
    unlink = failures.Path.unlink

    def removed_before(folder):
        if str(folder).endswith("/1"):
            shutil.rmtree(folder)
        return scandir(folder)

    def refused(path):
        if path.name == "a.wav":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        unlink(path)

    monkeypatch.setattr(os, "scandir", removed_before)
    monkeypatch.setattr(failures.Path, "unlink", refused)
    failures.remove_old_files(tmp_path, seconds=-60)
    assert (tmp_path / "0" / "a.wav").exists()
    assert not (tmp_path / "2" / "c.wav").exists()
    assert "a.wav cannot be removed (Permission denied)." in caplog.text

"""Corpora come archive by archive from a server that breaks off, lies and refuses; what results is whole or an error."""

import collections
import csv
import hashlib
import http.server
import io
import json
import shutil
import stat
import threading
import zipfile

import pytest

from crossask import datasets, downloading
from crossask.cli import prepare
from crossask.config import catalogue
from crossask.datasets import archives, read_corpus, tau2019, tut2017, unpacking
from crossask.errors import ConfigError, DataError, DownloadError

TOP = "TAU-urban-acoustic-scenes-2019-development"
DISK = collections.namedtuple("usage", "total used free")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; `server.cuts` says, answer by answer, after how many bytes the connection drops."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path.lstrip("/"), asked))
        if self.path in self.server.moved:
            self.send_response(302)
            self.send_header("Location", self.server.moved[self.path])
            return self.end_headers()
        if self.server.refusals:
            return self.send_error(self.server.refusals.pop(0))
        content = self.server.files.get(self.path.lstrip("/"))
        if content is None:
            return self.send_error(404)
        start = 0
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.server.tells_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cuts.pop(0) if self.server.cuts else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.asked, running.cuts, running.moved, running.refusals = (
            {},
            [],
            [],
            {},
            [],
        )
        running.ranges = running.tells_length = True
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def zipped(members: dict, compression=zipfile.ZIP_STORED) -> bytes:
    """A zip of {name or ZipInfo: bytes}."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def row(server, name: str, content: bytes):
    """Puts an archive on the server; its row of a table."""
    server.files[name] = content
    return f"{server.url}/{name}", len(content), hashlib.md5(content).hexdigest()


SOUND = {f"audio/bus-lyon-1-{n}-a.wav": bytes([n]) * 1000 for n in range(4)}


@pytest.fixture
def table(server):
    """Three archives as TAU's are made: metadata, and audio in two parts."""
    names = list(SOUND)
    return (
        row(
            server,
            "meta.zip",
            zipped(
                {
                    f"{TOP}/meta.csv": b"filename\n",
                    f"{TOP}/evaluation_setup/fold1_train.csv": b"filename\n",
                }
            ),
        ),
        row(
            server,
            "audio.1.zip",
            zipped({f"{TOP}/{name}": SOUND[name] for name in names[:2]}, zipfile.ZIP_DEFLATED),
        ),
        row(server, "audio.2.zip", zipped({f"{TOP}/{name}": SOUND[name] for name in names[2:]})),
    )


def fetch(table, folder, **options):
    """Without waiting; returns the pauses that were asked for."""
    pauses = []
    archives.fetch_corpus(
        table, folder, **{"pauses_seconds": (1, 2), "pause": pauses.append, **options}
    )
    return pauses


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


WHOLE = sorted(
    [
        *SOUND,
        "meta.csv",
        "evaluation_setup/fold1_train.csv",
        *(f".archives/{n}.zip.json" for n in ("meta", "audio.1", "audio.2")),
    ]
)


def assert_whole(folder):
    assert files(folder) == WHOLE
    for name, content in SOUND.items():
        assert (folder / name).read_bytes() == content


def asked_for(server):
    return [name for name, _ in server.asked]


def test_the_archives_are_unpacked_without_their_common_folder_and_removed(server, table, tmp_path):
    seen = []
    fetch(table, tmp_path / "new" / "data", progress=lambda done, total: seen.append((done, total)))
    assert_whole(tmp_path / "new" / "data")
    total = sum(size for _, size, _ in table)
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    assert json.loads((tmp_path / "new/data/.archives/audio.1.zip.json").read_text()) == {
        "md5": table[1][2],
        "members": dict.fromkeys(list(SOUND)[:2], 1000),
    }


def test_one_archive_at_a_time_lies_on_the_disk(server, table, tmp_path):
    most = []
    fetch(
        table,
        tmp_path,
        progress=lambda *_: most.append(
            sum(".zip" in p and not p.endswith(".json") for p in files(tmp_path))
        ),
    )
    assert max(most) == 1


def test_a_second_run_asks_for_nothing(server, table, tmp_path, caplog):
    fetch(table, tmp_path)
    server.asked.clear()
    fetch(table, tmp_path, progress=lambda *_: pytest.fail("nothing is done"))
    assert server.asked == []
    assert_whole(tmp_path)


def test_sizes_are_told_before_the_first_byte(server, table, tmp_path, monkeypatch, caplog):
    told = []
    monkeypatch.setattr(archives, "GIGABYTE", 1000)
    monkeypatch.setattr(
        archives.LOG,
        "info",
        lambda text, *values: told.append((text % values, list(server.asked))),
    )
    total = sum(size for _, size, _ in table)
    (tmp_path / ".archives").mkdir()
    (tmp_path / ".archives" / ".meta.zip.part").write_bytes(server.files["meta.zip"][:200])
    fetch(table, tmp_path)
    ((words, asked),) = told
    assert f"3 archives, {total / 1000:.1f} GB" in words
    assert f"3 archives, {(total - 200) / 1000:.1f} GB" in words.partition("to download")[2]
    assert asked == []


def test_a_dropped_connection_goes_on_where_it_broke(server, table, tmp_path):
    server.cuts = [100, 50]
    assert fetch(table, tmp_path) == [
        1,
        1,
    ]  # each try brought it further: the patience is whole again
    assert_whole(tmp_path)
    assert server.asked[:3] == [
        ("meta.zip", None),
        ("meta.zip", "bytes=100-"),
        ("meta.zip", "bytes=150-"),
    ]


def test_a_server_that_says_no_length_and_breaks_off_is_noticed(server, table, tmp_path):
    server.tells_length, server.cuts = False, [100]
    assert fetch(table, tmp_path) == [1]
    assert_whole(tmp_path)


def test_a_server_that_breaks_off_every_time_is_an_error_and_what_came_stays(
    server, table, tmp_path
):
    server.cuts = [100, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=f"100 of {table[0][1]} bytes|IncompleteRead"):
        fetch(table, tmp_path)
    assert files(tmp_path) == [".archives/.meta.zip.part"]
    server.cuts.clear()
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_server_without_ranges_that_breaks_off_at_the_same_place_ends_the_tries(
    server, table, tmp_path
):
    server.ranges, server.cuts = False, [100] * 9
    with pytest.raises(DownloadError):
        fetch(table, tmp_path)
    assert (
        len(server.asked) == 3
    )  # the first brought 100 bytes; the two further tries brought nothing new


def test_a_server_that_refuses_ranges_gives_the_archive_anew(server, table, tmp_path):
    server.ranges, server.cuts = False, [100]
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_part_that_is_whole_is_not_asked_for_and_one_too_long_is_dropped(server, table, tmp_path):
    (tmp_path / ".archives").mkdir()
    (tmp_path / ".archives" / ".meta.zip.part").write_bytes(server.files["meta.zip"])
    (tmp_path / ".archives" / ".audio.1.zip.part").write_bytes(server.files["audio.1.zip"] + b"x")
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert server.asked == [("audio.1.zip", None), ("audio.2.zip", None)]


def test_an_answer_416_begins_anew(server, table, tmp_path):
    server.cuts, server.refusals = [100], []
    with pytest.raises(DownloadError):
        fetch(table, tmp_path, pauses_seconds=())
    server.refusals = [416]
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[1:3] == [("meta.zip", "bytes=100-"), ("meta.zip", None)]


def test_an_overloaded_server_is_asked_again_and_a_refusal_is_final(server, table, tmp_path):
    server.refusals = [503, 429]
    assert fetch(table, tmp_path / "a") == [1, 2]
    server.refusals = [403, 403]
    with pytest.raises(DownloadError, match="403"):
        fetch(table, tmp_path / "b")
    assert len(server.refusals) == 1


def test_a_file_of_another_size_is_refused_before_its_first_byte(server, table, tmp_path):
    (tmp_path / ".archives").mkdir()
    part = tmp_path / ".archives" / ".meta.zip.part"
    part.write_bytes(b"arrived")
    server.files["meta.zip"], server.ranges = b"<html>Please log in</html>", False
    with pytest.raises(DownloadError, match=f"offers 26 bytes, not {table[0][1]}"):
        fetch(table, tmp_path)
    assert part.read_bytes() == b"arrived"


def test_a_changed_byte_is_an_error_and_the_archive_is_removed(server, table, tmp_path):
    good = server.files["audio.1.zip"]
    server.files["audio.1.zip"] = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    with pytest.raises(DownloadError, match=table[1][2]):
        fetch(table, tmp_path)
    assert files(tmp_path) == [
        ".archives/meta.zip.json",
        "evaluation_setup/fold1_train.csv",
        "meta.csv",
    ]
    server.files["audio.1.zip"] = good
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert asked_for(server) == ["meta.zip", "audio.1.zip", "audio.1.zip", "audio.2.zip"]


def test_redirects_are_followed_also_when_a_download_goes_on(server, table, tmp_path):
    server.moved = {"/old/meta.zip": "/meta.zip"}
    moved = ((f"{server.url}/old/meta.zip", *table[0][1:]), *table[1:])
    server.cuts = [100]
    fetch(moved, tmp_path)
    assert_whole(tmp_path)
    assert ("meta.zip", "bytes=100-") in server.asked


def test_a_mirror_stands_in_for_all_addresses(server, table, tmp_path, monkeypatch):
    elsewhere = [
        (f"http://127.0.0.1:9/files/{url.rpartition('/')[2]}?download=1", size, md5)
        for url, size, md5 in table
    ]
    fetch(elsewhere, tmp_path / "argument", base_url=f"{server.url}/")
    assert_whole(tmp_path / "argument")
    monkeypatch.setenv("CROSSASK_CORPUS_MIRROR", server.url)
    fetch(elsewhere, tmp_path / "environment")
    assert_whole(tmp_path / "environment")


def test_a_run_killed_while_unpacking_goes_on_there(server, table, tmp_path, monkeypatch):
    write, written = unpacking._write, []

    def killed_at_the_second_recording(opened, info, path):
        written.append(path.name)
        if len(written) == 4:
            raise KeyboardInterrupt
        write(opened, info, path)

    monkeypatch.setattr(unpacking, "_write", killed_at_the_second_recording)
    with pytest.raises(KeyboardInterrupt):
        fetch(table, tmp_path)
    assert ".archives/audio.1.zip" in files(tmp_path)
    first = tmp_path / next(iter(SOUND))
    before = first.stat().st_mtime_ns
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert first.stat().st_mtime_ns == before
    assert asked_for(server) == ["meta.zip", "audio.1.zip", "audio.2.zip"]


def test_a_half_written_member_is_written_again(server, table, tmp_path):
    (tmp_path / "audio").mkdir()
    for name, content in SOUND.items():
        (tmp_path / name).write_bytes(content[:500])
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_run_killed_between_record_and_removal_leaves_no_archive_behind(server, table, tmp_path):
    fetch(table, tmp_path)
    (tmp_path / ".archives" / "meta.zip").write_bytes(server.files["meta.zip"])
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_lost_recording_is_fetched_again_but_one_repacked_as_flac_is_not(server, table, tmp_path):
    fetch(table, tmp_path)
    lost, repacked = (tmp_path / name for name in (min(SOUND), max(SOUND)))
    lost.unlink()
    repacked.rename(repacked.with_suffix(".flac"))
    server.asked.clear()
    fetch(table, tmp_path)
    assert asked_for(server) == ["audio.1.zip"]
    assert lost.read_bytes() == SOUND["audio/bus-lyon-1-0-a.wav"]


def test_a_disk_that_is_too_small_is_told_with_numbers_before_the_first_byte(
    server, table, tmp_path, monkeypatch
):
    sizes = [size for _, size, _ in table]
    needed = int(1.2 * sum(sizes) + max(sizes)) + 1
    monkeypatch.setattr(archives, "GIGABYTE", 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DISK(10**9, 0, needed - 2))
    with pytest.raises(DataError, match=f"{needed - 2}.0 GB free.*{needed // 10}"):
        fetch(table, tmp_path)
    assert server.asked == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DISK(10**9, 0, needed))
    fetch(table, tmp_path)
    # nothing is left to do: nothing is needed
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DISK(10**9, 10**9, 0))
    fetch(table, tmp_path)


def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive(
    server, table, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_write", full)
        with pytest.raises(DataError, match="No space left"):
            fetch(table, tmp_path)
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert asked_for(server).count("meta.zip") == 1


def test_a_data_dir_that_is_a_file_is_an_error(server, table, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        fetch(table, tmp_path / "file")


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def twice(name: str) -> bytes:
    """A zip that holds `name` two times."""
    other = name[:-1] + "~"
    return zipped({name: b"1", other: b"2"}).replace(other.encode(), name.encode())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped({"top/good": b"1", "top/../../evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "/tmp/evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "..\\evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "C:\\evil": b"2"}), "leads out"),
        (zipped({"good": b"1", link("evil"): b"/etc"}), "link"),
        (twice("top/good"), "twice"),
        (zipped({"top/good": b"sound" * 20}).replace(b"soundsound", b"soundnoise", 1), "CRC"),
        (b"PK no zip", "not a zip"),
    ],
    ids=["parent", "absolute", "backslashes", "drive", "link", "twice", "CRC", "no zip"],
)
def test_an_archive_that_is_unsafe_or_damaged_writes_nothing_and_is_removed(
    server, tmp_path, content, words
):
    folder = tmp_path / "data"
    with pytest.raises(DataError, match=words):
        fetch([row(server, "a.zip", content)], folder)
    assert files(tmp_path) == []


def test_a_folder_of_the_layout_is_no_common_folder_and_litter_is_left_out(server, tmp_path):
    fetch(
        [
            row(
                server,
                "a.zip",
                zipped({"audio/": b"", "audio/a.wav": b"1", "__MACOSX/audio/._a.wav": b"2"}),
            )
        ],
        tmp_path,
    )
    assert files(tmp_path) == [".archives/a.zip.json", "audio/a.wav"]


def test_a_file_of_two_archives_is_the_first_ones(server, tmp_path):
    table = [
        row(server, f"{n}.zip", zipped({"top/LICENSE": text, f"top/{n}": b""}))
        for n, text in ((1, b"a"), (2, b"bb"))
    ]
    fetch(table, tmp_path)
    assert (tmp_path / "LICENSE").read_bytes() == b"a"
    server.asked.clear()
    fetch(table, tmp_path)
    assert server.asked == []


def test_what_is_fetched_is_read(server, tmp_path, monkeypatch):
    """From the command to the corpus, and again."""
    names = [
        f"audio/bus-{city}-{place}-0-a.wav" for place, city in enumerate(("lyon", "milan", "milan"))
    ]
    meta = "".join(f"{n}\tbus\t{n.split('-')[1]}-{n.split('-')[2]}\ta\n" for n in names)
    sides = {
        side: f"filename\tscene_label\n{name}\tbus\n"
        for side, name in zip(("train", "evaluate"), names, strict=False)
    }
    members = {"meta.csv": f"filename\tscene_label\tidentifier\tsource_label\n{meta}"}
    members |= {
        f"evaluation_setup/fold1_{side}.csv": text for side, text in sides.items()
    } | dict.fromkeys(names, b"sound")
    url, size, md5 = row(
        server, "all.zip", zipped({f"{TOP}/{name}": content for name, content in members.items()})
    )
    monkeypatch.setattr(tau2019, "ARCHIVES", (("http://127.0.0.1:9/all.zip", size, md5),))
    monkeypatch.setenv("CROSSASK_CORPUS_MIRROR", url.rpartition("/")[0])
    with pytest.raises(DataError, match="3 of 3 metadata files") as told:
        read_corpus("tau2019", tmp_path)
    command = told.value.fix.removeprefix("Fetch them: ").split()
    assert command == [
        "crossask-prepare",
        "--dataset=tau2019",
        f"--data_dir={tmp_path}",
        "--download",
    ]
    assert prepare.main(command) == 0
    corpus = read_corpus("tau2019", tmp_path)
    assert (len(corpus.clips), corpus.unused) == (2, 1)
    assert prepare.main(command) == 0
    assert len(server.asked) == 1


def test_download_is_refused_where_nothing_is_published(tmp_path, capsys):
    for dataset in ("folder", "soundscapes", "events"):
        with pytest.raises(ConfigError, match=f"'{dataset}' has nothing to download"):
            datasets.download_corpus(dataset, tmp_path)
        assert (
            prepare.main(
                ["crossask-prepare", f"--dataset={dataset}", f"--data_dir={tmp_path}", "--download"]
            )
            == 2
        )
        assert "tau2019, tut2017" in capsys.readouterr().err
    assert prepare.main(["crossask-prepare", "--download"]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "count", "total"), [(tau2019, 23, 35_622_537_482), (tut2017, 13, 10_700_420_548)]
)
def test_the_tables_hold_the_published_archives(module, count, total):
    assert (
        len(module.ARCHIVES)
        == len({url for url, _, _ in module.ARCHIVES})
        == len({md5 for _, _, md5 in module.ARCHIVES})
        == count
    )
    assert sum(size for _, size, _ in module.ARCHIVES) == total
    assert all(len(bytes.fromhex(md5)) == 16 for _, _, md5 in module.ARCHIVES)


@pytest.mark.parametrize("name", ["tau2019", "tut2017"])
def test_the_tables_are_those_of_the_records(real_data, name):
    with open(real_data("meta") / f"{name}_archives.csv", newline="") as file:
        rows = tuple(
            (line["url"], int(line["bytes"]), line["md5"]) for line in csv.DictReader(file)
        )
    assert rows == catalogue.load(catalogue.dataset(name).archives)


def test_an_address_that_is_none_is_an_error(tmp_path):
    with pytest.raises(DownloadError, match="nowhere"):
        downloading.download(
            "nowhere",
            tmp_path / "part",
            pauses_seconds=(1,),
            pause=lambda _: pytest.fail("another try is no use"),
        )

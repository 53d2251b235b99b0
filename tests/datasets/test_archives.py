"""Downloading corpora from a server that breaks off, refuses and sends wrong files.

The corpus is whole afterwards, or there is an error.
"""

import collections
import csv
import hashlib
import io
import json
import shutil
import stat
import zipfile

import damage
import pytest

from crossask import datasets, downloading
from crossask.cli import prepare
from crossask.config import catalogue
from crossask.datasets import archives, read_corpus, tau2019, tut2017, unpacking
from crossask.errors import ConfigError, CrossaskError, DataError, DownloadError

TOP = "TAU-urban-acoustic-scenes-2019-development"
DiskUsage = collections.namedtuple("DiskUsage", "total used free")

SOUNDS = {f"audio/bus-lyon-1-{number}-a.wav": bytes([number]) * 1000 for number in range(4)}
WHOLE = sorted(
    [
        *SOUNDS,
        "meta.csv",
        "evaluation_setup/fold1_train.csv",
        ".archives/meta.zip.json",
        ".archives/audio.1.zip.json",
        ".archives/audio.2.zip.json",
    ]
)


def zipped(members, compression=zipfile.ZIP_STORED):
    """Returns the bytes of a zip archive of {name or ZipInfo: content}."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def publish(server, name, content):
    """Puts an archive on the server and returns its row (url, bytes, md5)."""
    server.files[name] = content
    return f"{server.url}/{name}", len(content), hashlib.md5(content).hexdigest()


@pytest.fixture
def table(server):
    """Returns three archives as TAU has them: metadata, and audio in two parts."""
    metadata = {
        f"{TOP}/meta.csv": b"filename\n",
        f"{TOP}/evaluation_setup/fold1_train.csv": b"filename\n",
    }
    names = list(SOUNDS)
    first_half = {f"{TOP}/{name}": SOUNDS[name] for name in names[:2]}
    second_half = {f"{TOP}/{name}": SOUNDS[name] for name in names[2:]}
    return (
        publish(server, "meta.zip", zipped(metadata)),
        publish(server, "audio.1.zip", zipped(first_half, zipfile.ZIP_DEFLATED)),
        publish(server, "audio.2.zip", zipped(second_half)),
    )


def total_size(table):
    return sum(size for _, size, _ in table)


def fetch(table, folder, **options):
    """Fetches without waiting and returns the pauses that there would have been."""
    pauses = []
    options = {"pauses_seconds": (1, 2), "pause": pauses.append, **options}
    archives.fetch_corpus(table, folder, **options)
    return pauses


def files(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(folder)) for path in paths)


def assert_whole(folder):
    assert files(folder) == WHOLE
    for name, content in SOUNDS.items():
        assert (folder / name).read_bytes() == content


def write_part(folder, name, content):
    """Writes what an earlier, killed run has received of an archive."""
    (folder / ".archives").mkdir(exist_ok=True)
    path = folder / ".archives" / f".{name}.part"
    path.write_bytes(content)
    return path


# ---- Whole runs


def test_archives_are_unpacked_without_their_common_folder_and_removed(server, table, tmp_path):
    folder = tmp_path / "new" / "data"
    seen = []
    fetch(table, folder, progress=lambda done, total: seen.append((done, total)))
    assert_whole(folder)
    assert seen[-1] == (total_size(table), total_size(table))
    assert seen == sorted(seen)
    record = json.loads((folder / ".archives" / "audio.1.zip.json").read_text())
    del record["checksum"]
    assert record == {"md5": table[1][2], "members": dict.fromkeys(list(SOUNDS)[:2], 1000)}


def test_one_archive_at_a_time_is_on_the_disk(server, table, tmp_path):
    counts = []

    def count_archives(*_):
        names = [name for name in files(tmp_path) if ".zip" in name]
        counts.append(sum(not name.endswith(".json") for name in names))

    fetch(table, tmp_path, progress=count_archives)
    assert max(counts) == 1


def test_a_second_run_requests_nothing(server, table, tmp_path):
    fetch(table, tmp_path)
    server.requests.clear()
    fetch(table, tmp_path, progress=lambda *_: pytest.fail("there is nothing to do"))
    assert server.requests == []
    assert_whole(tmp_path)


def test_sizes_are_logged_before_the_first_request(server, table, tmp_path, monkeypatch):
    logged = []

    def info(text, *values):
        logged.append((text % values, list(server.requests)))

    monkeypatch.setattr(archives, "GIGABYTE", 1000)
    monkeypatch.setattr(archives.LOG, "info", info)
    write_part(tmp_path, "meta.zip", server.files["meta.zip"][:200])
    fetch(table, tmp_path)
    ((text, requests),) = logged
    total = total_size(table)
    assert f"3 archives, {total / 1000:.1f} GB" in text
    assert f"3 archives, {(total - 200) / 1000:.1f} GB" in text.partition("to download")[2]
    assert requests == []


def test_a_mirror_replaces_all_addresses(server, table, tmp_path, monkeypatch):
    elsewhere = []
    for url, size, md5 in table:
        name = url.rpartition("/")[2]
        elsewhere.append((f"http://127.0.0.1:9/files/{name}?download=1", size, md5))
    fetch(elsewhere, tmp_path / "argument", base_url=f"{server.url}/")
    assert_whole(tmp_path / "argument")
    monkeypatch.setenv("CROSSASK_CORPUS_MIRROR", server.url)
    fetch(elsewhere, tmp_path / "environment")
    assert_whole(tmp_path / "environment")


@pytest.mark.parametrize("page", ["record/400515", "records/400515", "records/400515/files"])
def test_a_mirror_may_be_a_record_on_zenodo(server, table, tmp_path, page):
    for name in list(server.files):
        server.files[f"records/400515/files/{name}"] = server.files.pop(name)
    fetch(table, tmp_path, base_url=f"{server.url}/{page}")
    assert_whole(tmp_path)


# ---- Broken connections and wrong files


def test_a_broken_download_continues_where_it_broke(server, table, tmp_path):
    server.cuts = [100, 50]
    # Each try gets further, so all pauses are available again.
    assert fetch(table, tmp_path) == [1, 1]
    assert_whole(tmp_path)
    assert server.requests[:3] == [
        ("meta.zip", None),
        ("meta.zip", "bytes=100-"),
        ("meta.zip", "bytes=150-"),
    ]


def test_a_broken_download_of_unknown_length_is_noticed(server, table, tmp_path):
    server.sends_length = False
    server.cuts = [100]
    assert fetch(table, tmp_path) == [1]
    assert_whole(tmp_path)


def test_a_server_that_always_breaks_off_is_an_error_and_the_part_stays(server, table, tmp_path):
    server.cuts = [100, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=f"100 of {table[0][1]} bytes"):
        fetch(table, tmp_path)
    assert files(tmp_path) == [".archives/.meta.zip.part"]
    server.cuts.clear()
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_tries_end_if_a_server_without_ranges_always_breaks_off_at_the_same_place(
    server, table, tmp_path
):
    server.has_ranges = False
    server.cuts = [100] * 9
    with pytest.raises(DownloadError):
        fetch(table, tmp_path)
    # The first try got 100 bytes; two more got no further.
    assert len(server.requests) == 3


def test_a_server_without_ranges_sends_the_whole_archive_again(server, table, tmp_path):
    server.has_ranges = False
    server.cuts = [100]
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_whole_part_is_not_requested_and_a_longer_one_is_removed(server, table, tmp_path):
    write_part(tmp_path, "meta.zip", server.files["meta.zip"])
    write_part(tmp_path, "audio.1.zip", server.files["audio.1.zip"] + b"x")
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert server.requests == [("audio.1.zip", None), ("audio.2.zip", None)]


def test_status_416_starts_from_the_beginning(server, table, tmp_path):
    server.cuts = [100]
    with pytest.raises(DownloadError):
        fetch(table, tmp_path, pauses_seconds=())
    server.refusals = [(416, {})]
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert server.requests[1:3] == [("meta.zip", "bytes=100-"), ("meta.zip", None)]


def test_a_busy_server_is_tried_again_and_a_refusal_is_final(server, table, tmp_path):
    server.refusals = [(503, {}), (429, {})]
    assert fetch(table, tmp_path / "a") == [1, 2]
    server.refusals = [(403, {}), (403, {})]
    with pytest.raises(DownloadError, match="403"):
        fetch(table, tmp_path / "b")
    assert len(server.refusals) == 1


def test_a_file_of_another_size_is_refused_before_its_first_byte(server, table, tmp_path):
    part = write_part(tmp_path, "meta.zip", b"arrived")
    server.files["meta.zip"] = b"<html>Please log in</html>"
    server.has_ranges = False
    with pytest.raises(DownloadError, match=f"offers 26 bytes, not {table[0][1]}"):
        fetch(table, tmp_path)
    assert part.read_bytes() == b"arrived"


def test_an_archive_with_a_changed_byte_is_an_error_and_removed(server, table, tmp_path):
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
    assert server.names_requested() == ["meta.zip", "audio.1.zip", "audio.1.zip", "audio.2.zip"]


def test_redirects_are_followed_also_by_a_continued_download(server, table, tmp_path):
    server.redirects = {"/old/meta.zip": "/meta.zip"}
    moved = ((f"{server.url}/old/meta.zip", *table[0][1:]), *table[1:])
    server.cuts = [100]
    fetch(moved, tmp_path)
    assert_whole(tmp_path)
    assert ("meta.zip", "bytes=100-") in server.requests


def test_text_that_is_no_address_is_an_error_without_another_try(tmp_path):
    with pytest.raises(DownloadError, match="nowhere"):
        downloading.download(
            "nowhere",
            tmp_path / "part",
            pauses_seconds=(1,),
            pause=lambda _: pytest.fail("another try cannot help"),
        )


# ---- Killed runs and changed folders


def test_a_run_killed_while_unpacking_continues_there(server, table, tmp_path, monkeypatch):
    write = unpacking._write
    written = []

    def killed_at_the_second_recording(opened, member, path):
        written.append(path.name)
        if len(written) == 4:
            raise KeyboardInterrupt
        write(opened, member, path)

    monkeypatch.setattr(unpacking, "_write", killed_at_the_second_recording)
    with pytest.raises(KeyboardInterrupt):
        fetch(table, tmp_path)
    assert ".archives/audio.1.zip" in files(tmp_path)
    first = tmp_path / next(iter(SOUNDS))
    before = first.stat().st_mtime_ns
    fetch(table, tmp_path)
    assert_whole(tmp_path)
    assert first.stat().st_mtime_ns == before
    assert server.names_requested() == ["meta.zip", "audio.1.zip", "audio.2.zip"]


STATE_DAMAGE = [("record", damaging) for damaging in damage.ALL]
for damaged in ("part", "verified"):
    for of_archive in (damage.half, damage.longer, damage.zeros, damage.flip(0.4), damage.folder):
        STATE_DAMAGE.append((damaged, of_archive))


@pytest.mark.parametrize(
    ("kind", "damaging"), STATE_DAMAGE, ids=lambda value: getattr(value, "__name__", value)
)
def test_damaged_state_of_a_download_ends_with_the_whole_corpus(
    server, table, tmp_path, kind, damaging
):
    fetch(table, tmp_path)
    state = tmp_path / ".archives"
    path = {
        "record": state / "audio.1.zip.json",
        "part": state / ".audio.1.zip.part",
        "verified": state / "audio.1.zip",
    }[kind]
    if kind != "record":
        (state / "audio.1.zip.json").unlink()
        path.write_bytes(server.files["audio.1.zip"])
    damaging(path)
    _, error = damage.outcome(fetch, table, tmp_path)
    if error is not None:
        assert damage.names(error, "audio.1.zip", tmp_path)
        if path.is_dir():
            path.rmdir()
        # As the error advises.
        fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_half_written_file_is_written_again(server, table, tmp_path):
    (tmp_path / "audio").mkdir()
    for name, content in SOUNDS.items():
        (tmp_path / name).write_bytes(content[:500])
    fetch(table, tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize("name", ["meta.csv", min(SOUNDS)])
@pytest.mark.parametrize("content", [b"of another corpus", bytes(1001)])
def test_files_of_another_corpus_in_the_folder_are_not_overwritten(
    server, table, tmp_path, name, content
):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        CrossaskError, match=f"contains another {name.rpartition('/')[2]} .*\nSet --data_dir to ano"
    ):
        fetch(table, tmp_path)
    assert (tmp_path / name).read_bytes() == content
    # The archive is as it should be.
    archive = "meta.zip" if name == "meta.csv" else "audio.1.zip"
    assert f".archives/{archive}" in files(tmp_path)
    (tmp_path / name).unlink()
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_two_corpora_may_be_in_one_folder_if_their_files_have_other_names(server, table, tmp_path):
    other = {"README.md": b"two", "meta.txt": b"", "audio/b020_0_10.wav": b"1"}
    first = [publish(server, "doc.zip", zipped({"top/README.md": b"one", "top/README.html": b""}))]
    second = [publish(server, "other.zip", zipped(other))]
    fetch([*first, *table], tmp_path)
    fetch(second, tmp_path)
    assert (tmp_path / "meta.csv").exists()
    assert (tmp_path / "meta.txt").exists()


def test_a_newer_version_of_an_archive_replaces_the_files_of_the_earlier_one(server, tmp_path):
    for content in (b"earlier", b"newer"):
        fetch([publish(server, "a.zip", zipped({"meta.csv": content, "b": b""}))], tmp_path)
        assert (tmp_path / "meta.csv").read_bytes() == content


def test_a_run_killed_between_record_and_removal_leaves_no_archive(server, table, tmp_path):
    fetch(table, tmp_path)
    (tmp_path / ".archives" / "meta.zip").write_bytes(server.files["meta.zip"])
    fetch(table, tmp_path)
    assert_whole(tmp_path)


def test_a_lost_recording_is_fetched_again_but_not_one_converted_to_flac(server, table, tmp_path):
    fetch(table, tmp_path)
    lost = tmp_path / min(SOUNDS)
    converted = tmp_path / max(SOUNDS)
    lost.unlink()
    converted.rename(converted.with_suffix(".flac"))
    server.requests.clear()
    fetch(table, tmp_path)
    assert server.names_requested() == ["audio.1.zip"]
    assert lost.read_bytes() == SOUNDS[min(SOUNDS)]


# ---- The disk


def test_a_disk_that_is_too_small_is_an_error_before_the_first_request(
    server, table, tmp_path, monkeypatch
):
    largest = max(size for _, size, _ in table)
    needed = int(1.2 * total_size(table) + largest) + 1

    def set_free(free):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(10**9, 0, free))

    monkeypatch.setattr(archives, "GIGABYTE", 1)
    set_free(needed - 2)
    with pytest.raises(DataError, match=f"{needed - 2}.0 GB free.*{needed // 10}"):
        fetch(table, tmp_path)
    assert server.requests == []
    set_free(needed)
    fetch(table, tmp_path)
    # Nothing is left to do, so nothing is needed.
    set_free(0)
    fetch(table, tmp_path)


def test_a_disk_that_is_full_while_unpacking_keeps_the_archive(
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
    assert server.names_requested().count("meta.zip") == 1


def test_a_data_dir_that_is_a_file_is_an_error(server, table, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        fetch(table, tmp_path / "file")


# ---- The content of archives


def link(name):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def with_a_name_twice(name):
    other = name[:-1] + "~"
    return zipped({name: b"1", other: b"2"}).replace(other.encode(), name.encode())


def with_a_claimed_size(name, size):
    """Returns an archive whose directory says that a file has another size than it has."""
    member = zipfile.ZipInfo(name)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        archive.writestr(member, b"sound")
        member.file_size = size
    return file.getvalue()


def test_a_member_larger_than_its_claimed_size_is_not_written(server, tmp_path):
    """The sizes in the directory are checked first, so no file may become larger."""
    member = zipfile.ZipInfo("large")
    member.compress_type = zipfile.ZIP_DEFLATED
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, bytes(10**6))
        member.file_size = 10
    with pytest.raises(DataError, match="damaged"):
        fetch([publish(server, "a.zip", file.getvalue())], tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("linked", ["audio", "audio/deep", "audio/deep/er"])
def test_nothing_is_written_through_a_link_in_the_folder(server, tmp_path, linked):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "data"
    (folder / linked).parent.mkdir(parents=True)
    (folder / linked).symlink_to(elsewhere)
    table = [publish(server, "a.zip", zipped({"audio/deep/er/a.wav": b"1", "meta.csv": b"2"}))]
    with pytest.raises(CrossaskError, match=f"{linked} is a link to {elsewhere}"):
        fetch(table, folder)
    assert list(elsewhere.iterdir()) == []
    assert not (folder / "meta.csv").exists()
    # The archive was fine, so it is not fetched again.
    (folder / linked).unlink()
    server.requests.clear()
    fetch(table, folder)
    assert server.requests == []
    assert (folder / "audio/deep/er/a.wav").read_bytes() == b"1"


def test_the_folder_of_the_corpus_may_be_a_link_and_a_linked_file_is_replaced(server, tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "data").symlink_to(real)
    outside = tmp_path / "outside"
    outside.write_bytes(b"kept")
    (real / "meta.csv").symlink_to(outside)
    table = [publish(server, "a.zip", zipped({"meta.csv": b"new", "audio/a.wav": b"1"}))]
    fetch(table, tmp_path / "data")
    assert (real / "meta.csv").read_bytes() == b"new"
    assert outside.read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"top/good": b"1", "top/../../evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "/tmp/evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "..\\evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "C:\\evil": b"2"}), "leads out"),
        (zipped({"good": b"1", "C:evil": b"2"}), "leads out"),
        (zipped({"good": b"1", r"\\server\share\evil": b"2"}), "leads out"),
        (zipped({"good": b"1", link("evil"): b"/etc"}), "link"),
        (zipped({"good": b"1", link("evil"): b"/etc", "evil/passwd": b"2"}), "link"),
        (zipped({"top/good": b"1", "top/good/evil": b"2"}), "as a file and as a folder"),
        (zipped({"good": b"1", "zeros": bytes(10**6)}, zipfile.ZIP_DEFLATED), "which no record"),
        (with_a_claimed_size("good", 1 << 40), "which no recordings are"),
        (with_a_name_twice("top/good"), "twice"),
        (zipped({"top/good": b"sound" * 20}).replace(b"soundsound", b"soundnoise", 1), "CRC"),
        (b"PK no zip", "not a zip"),
    ],
    ids=[
        "parent",
        "absolute",
        "backslashes",
        "drive",
        "drive without a slash",
        "share",
        "link",
        "folder behind a link",
        "file and folder",
        "bomb",
        "claimed size",
        "twice",
        "CRC",
        "no zip",
    ],
)
def test_an_unsafe_or_damaged_archive_writes_nothing_and_is_removed(
    server, tmp_path, content, message, monkeypatch
):
    monkeypatch.setattr(unpacking, "ALWAYS_BYTES", 10_000)
    with pytest.raises(DataError, match=message):
        fetch([publish(server, "a.zip", content)], tmp_path / "data")
    assert files(tmp_path) == []


def test_a_folder_of_the_official_layout_is_kept_and_litter_is_left_out(server, tmp_path):
    members = {"audio/": b"", "audio/a.wav": b"1", "__MACOSX/audio/._a.wav": b"2"}
    fetch([publish(server, "a.zip", zipped(members))], tmp_path)
    assert files(tmp_path) == [".archives/a.zip.json", "audio/a.wav"]


def test_a_file_in_two_archives_is_that_of_the_first(server, tmp_path):
    table = [
        publish(server, "1.zip", zipped({"top/LICENSE": b"a", "top/1": b""})),
        publish(server, "2.zip", zipped({"top/LICENSE": b"bb", "top/2": b""})),
    ]
    fetch(table, tmp_path)
    assert (tmp_path / "LICENSE").read_bytes() == b"a"
    server.requests.clear()
    fetch(table, tmp_path)
    assert server.requests == []


# ---- The command and the catalogue


def tau_members():
    """Files of a corpus with one clip to train on, one to evaluate on, and one unused clip."""
    train = "audio/bus-lyon-0-0-a.wav"
    evaluation = "audio/bus-milan-1-0-a.wav"
    unused = "audio/bus-milan-2-0-a.wav"
    metadata = "filename\tscene_label\tidentifier\tsource_label\n"
    for name in (train, evaluation, unused):
        _, city, location, _, _ = name.split("-")
        metadata += f"{name}\tbus\t{city}-{location}\ta\n"
    return {
        f"{TOP}/meta.csv": metadata,
        f"{TOP}/evaluation_setup/fold1_train.csv": f"filename\tscene_label\n{train}\tbus\n",
        f"{TOP}/evaluation_setup/fold1_evaluate.csv": f"filename\tscene_label\n{evaluation}\tbus\n",
        f"{TOP}/{train}": b"sound",
        f"{TOP}/{evaluation}": b"sound",
        f"{TOP}/{unused}": b"sound",
    }


def test_the_advice_about_a_missing_corpus_is_the_command_that_fetches_it(
    server, tmp_path, monkeypatch
):
    _, size, md5 = publish(server, "all.zip", zipped(tau_members()))
    monkeypatch.setattr(tau2019, "ARCHIVES", (("http://127.0.0.1:9/all.zip", size, md5),))
    monkeypatch.setenv("CROSSASK_CORPUS_MIRROR", server.url)
    with pytest.raises(DataError, match="3 of 3 metadata files") as error:
        read_corpus("tau2019", tmp_path)
    text, _, note = error.value.fix.partition(" (")
    assert note.startswith("with --metadata_only")
    command = text.removeprefix("Fetch them: ").split()
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
    assert len(server.requests) == 1


def test_the_metadata_can_be_downloaded_without_the_recordings(server, tmp_path, monkeypatch):
    members = tau_members()
    metadata = {name: data for name, data in members.items() if not name.endswith(".wav")}
    recordings = {name: data for name, data in members.items() if name.endswith(".wav")}
    archives = (
        publish(server, "x.meta.zip", zipped(metadata)),
        publish(server, "x.audio.1.zip", zipped(recordings)),
    )
    monkeypatch.setattr(tau2019, "ARCHIVES", archives)
    words = ["crossask-prepare", "--dataset=tau2019", f"--data_dir={tmp_path}", "--metadata_only"]
    assert prepare.main(words) == 2
    assert prepare.main([*words, "--download"]) == 0
    assert len(server.requests) == 1
    assert len(read_corpus("tau2019", tmp_path, need_audio=False).clips) == 2
    with pytest.raises(DataError, match="sound files"):
        read_corpus("tau2019", tmp_path)


@pytest.mark.parametrize("name", ["folder", "soundscapes"])
def test_a_data_set_without_archives_cannot_be_downloaded(tmp_path, capsys, name):
    with pytest.raises(ConfigError, match=f"'{name}' has nothing to download"):
        datasets.download_corpus(name, tmp_path)
    arguments = [f"--dataset={name}", f"--data_dir={tmp_path}", "--download"]
    assert prepare.main(["crossask-prepare", *arguments]) == 2
    assert "tau2019, tut2017" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}


def test_a_download_of_isolated_events_or_of_nothing_exits_with_2(tmp_path):
    arguments = ["--dataset=events", f"--data_dir={tmp_path}", "--download"]
    assert prepare.main(["crossask-prepare", *arguments]) == 2
    assert prepare.main(["crossask-prepare", "--download"]) == 2


@pytest.mark.parametrize(
    ("module", "count", "total"), [(tau2019, 23, 35_622_537_482), (tut2017, 13, 10_700_420_548)]
)
def test_the_tables_contain_the_published_archives(module, count, total):
    addresses = {url for url, _, _ in module.ARCHIVES}
    checksums = {md5 for _, _, md5 in module.ARCHIVES}
    assert len(module.ARCHIVES) == len(addresses) == len(checksums) == count
    assert total_size(module.ARCHIVES) == total
    assert all(len(bytes.fromhex(md5)) == 16 for md5 in checksums)


@pytest.mark.parametrize("name", ["tau2019", "tut2017"])
def test_the_tables_are_those_of_the_published_records(real_data, name):
    with open(real_data("meta") / f"{name}_archives.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    published = tuple((row["url"], int(row["bytes"]), row["md5"]) for row in rows)
    assert published == catalogue.load(catalogue.dataset(name).archives)

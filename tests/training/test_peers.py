"""TF_CONFIG, and machines that wait for each other. Nothing here starts TensorFlow's server."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossask import child_processes
from crossask.cli import train
from crossask.errors import ConfigError, CrossaskError
from crossask.training import peers

WORKERS = ["a:1234", "b:1234"]
FIRST = {"type": "worker", "index": 0}


def config(cluster, task=FIRST) -> str:
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    ("text", "addresses", "number"),
    [
        (config({"worker": WORKERS}), ("a:1234", "b:1234"), 0),
        (config({"worker": WORKERS}, {"type": "worker", "index": 1}), ("a:1234", "b:1234"), 1),
        (config({"worker": WORKERS}, {"type": "worker", "index": "1"}), ("a:1234", "b:1234"), 1),
        (config({"worker": ["b:1"], "chief": ["a:1"]}), ("a:1", "b:1"), 1),
        (config({"worker": ["[::1]:80"]}), ("[::1]:80",), 0),
    ],
)
def test_machines_are_read(text, addresses, number):
    assert peers.read({"TF_CONFIG": text}) == peers.Cluster(addresses, number)


def test_without_the_variable_there_are_no_machines():
    assert peers.read({}) is None
    assert peers.read({"TF_CONFIG": ""}) is None


MISTAKES = {
    "no JSON": ("{", "not JSON"),
    "single quotes": ("{'cluster': {}}", "not JSON"),
    "deep": ("[" * 100_000, "not JSON"),
    "number": ("5", "TF_CONFIG is 5, not an object"),
    "list": ("[1]", "TF_CONFIG is [1], not an object"),
    "null": ("null", "it has no 'TF_CONFIG'"),
    "no cluster": ('{"task": {}}', "it has no 'cluster'"),
    "cluster of text": (config("a:1"), "cluster is 'a:1', not an object"),
    "empty cluster": (config({}), "no machines"),
    "no workers": (config({"worker": []}), "no machines"),
    "parameter servers": (config({"ps": ["a:1"]}), "the job 'ps'"),
    "misspelled job": (config({"workers": ["a:1"]}), "did you mean 'worker'"),
    "two chiefs": (config({"chief": WORKERS}), "more than one chief"),
    "workers of text": (config({"worker": "a:1"}), "not a list of addresses"),
    "workers by number": (config({"worker": {"0": "a:1"}}), "not a list of addresses"),
    "address of a number": (config({"worker": [1234]}), "cluster.worker[0] is 1234"),
    "no port": (config({"worker": ["a:1", "b"]}), "cluster.worker[1] is 'b', without a port"),
    "no host": (config({"worker": [":1234"]}), "without a host"),
    "empty address": (config({"worker": [""]}), "without a port"),
    "blank": (config({"worker": ["a :1"]}), "with spaces"),
    "port in words": (config({"worker": ["a:http"]}), "port is not from 1 to 65535"),
    "port 0": (config({"worker": ["a:0"]}), "port is not from 1 to 65535"),
    "large port": (config({"worker": ["a:65536"]}), "port is not from 1 to 65535"),
    "protocol": (config({"worker": ["grpc://a:1"]}), "with a protocol"),
    "IPv6 without brackets": (config({"worker": ["::1:80"]}), "without a port"),
    "twice": (config({"worker": ["a:1", "a:1"]}), "'a:1' is listed twice"),
    "chief among the workers": (config({"chief": ["a:1"], "worker": ["a:1"]}), "listed twice"),
    "no task": (json.dumps({"cluster": {"worker": WORKERS}}), "it has no 'task'"),
    "task of text": (config({"worker": WORKERS}, "worker"), "task is 'worker', not an object"),
    "no type": (config({"worker": WORKERS}, {"index": 0}), "task.type is None"),
    "unknown type": (config({"worker": WORKERS}, {"type": "chief", "index": 0}), "'chief'"),
    "no index": (config({"worker": WORKERS}, {"type": "worker"}), "task.index is None"),
    "index out of range": (config({"worker": WORKERS}, {"type": "worker", "index": 2}), "0 to 1"),
    "negative index": (config({"worker": WORKERS}, {"type": "worker", "index": -1}), "0 to 1"),
    "index of words": (config({"worker": WORKERS}, {"type": "worker", "index": "a"}), "'a'"),
    "index true": (config({"worker": WORKERS}, {"type": "worker", "index": True}), "True"),
    "index 1.5": (config({"worker": WORKERS}, {"type": "worker", "index": 1.5}), "1.5"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_error(name):
    text, words = MISTAKES[name]
    with pytest.raises(ConfigError) as caught:
        peers.read({"TF_CONFIG": text})
    assert caught.value.problem.startswith("The environment variable TF_CONFIG cannot be used: ")
    assert words in caught.value.problem
    assert "\n" not in caught.value.problem
    assert caught.value.fix == peers.ADVICE


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(peers, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    monkeypatch.setattr(peers, "SECONDS_BETWEEN_LINES", 0.01)


@contextlib.contextmanager
def listening():
    """Yields the address of a peer that has started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def free_address() -> str:
    with listening() as address:
        return address


def test_machines_that_have_started_are_not_waited_for(fast, monkeypatch):
    logged = []
    monkeypatch.setattr(peers.LOG, "info", lambda *words: logged.append(words))
    with listening() as first, listening() as second:
        peers.meet(peers.Cluster((first, free_address(), second), 1), 60)
    peers.meet(peers.Cluster(("nowhere.invalid:1",), 0), 60)
    assert logged == []


def test_who_is_missing_is_logged_until_it_starts(fast, monkeypatch):
    missing = free_address()
    logged = []
    with contextlib.ExitStack() as servers:

        def info(text: str, *values) -> None:
            logged.append(text % values)
            if len(logged) == 2:
                # The peer starts.
                host, port = missing.split(":")
                servers.enter_context(socket.create_server((host, int(port))))

        monkeypatch.setattr(peers.LOG, "info", info)
        started = servers.enter_context(listening())
        peers.meet(peers.Cluster((free_address(), started, missing), 0), 60)
    assert len(logged) >= 2
    assert all(f"Waiting for 1 of 2 other machines: {missing} (" in line for line in logged)


def test_a_peer_that_never_comes_is_an_error(fast):
    missing = [free_address(), "nowhere.invalid:1"]
    with pytest.raises(CrossaskError) as caught:
        peers.meet(peers.Cluster((free_address(), *missing), 0), 0.05)
    assert "2 of 2 other machines did not start within 0.05 s" in caught.value.problem
    assert all(address in caught.value.problem for address in missing)
    assert "--peer_timeout" in caught.value.fix


def test_an_address_that_is_in_use_is_an_error(fast):
    with listening() as own, pytest.raises(CrossaskError, match="cannot listen at"):
        peers.meet(peers.Cluster((own, free_address()), 0), 1)


def test_the_machine_listens_while_it_waits(fast, monkeypatch):
    own = free_address()
    answers = []
    monkeypatch.setattr(peers.LOG, "info", lambda *_: answers.append(peers._is_listening(own)))
    with pytest.raises(CrossaskError):
        peers.meet(peers.Cluster((own, free_address()), 0), 0.1)
    assert answers
    assert all(answers)


# The main thread waits for a lock of C, which no signal ends, as TensorFlow does for a machine.
STUCK = """
import ctypes, signal
from crossask.training import peers

# A signal that arrives just before the lock must not end the wait as an exception.
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, lambda *_: None)
c = ctypes.CDLL(None)
mutex = ctypes.create_string_buffer(256)
c.pthread_mutex_init(mutex, None)
c.pthread_mutex_lock(mutex)
with peers.ending_in_time(0.1):
    print("waiting", flush=True)
    c.pthread_mutex_lock(mutex)
"""


# The same, while no Python runs in any thread, and with another handler of SIGTERM: so TensorFlow
# connects machines.
STUCK_WITH_THE_LOCK = """
import ctypes, os, signal, sys
from absl import flags
from crossask import child_processes
from crossask.cli import command

def wait(_values, _words):
    code = child_processes.run_in_child(0.1)
    if code is not None:
        return code
    c = ctypes.PyDLL(None)
    c.signal(signal.SIGTERM, ctypes.c_void_p(1))  # SIG_IGN
    mutex = ctypes.create_string_buffer(256)
    c.pthread_mutex_init(mutex, None)
    c.pthread_mutex_lock(mutex)
    print("waiting", os.getpid(), flush=True)
    c.pthread_mutex_lock(mutex)

sys.exit(command.run("doc", flags.FlagValues(), wait, ["verb"]))
"""


@contextlib.contextmanager
def started(script: str) -> Iterator[subprocess.Popen]:
    root = Path(peers.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.processes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 2)])
def test_a_process_that_tensorflow_keeps_ends_in_time(number, code):
    with started(STUCK) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert process.stderr.read().startswith("Error: Stopped while TensorFlow waited")


linux = pytest.mark.skipif(sys.platform != "linux", reason="uses what Linux alone offers")


@linux
@pytest.mark.processes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 2)])
def test_a_process_that_runs_no_python_ends_in_time(number, code):
    with started(STUCK_WITH_THE_LOCK) as process:
        child = int(process.stdout.readline().removeprefix("waiting "))
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert process.stderr.read().startswith("Error: Stopped")
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_machines_are_connected_by_a_child(monkeypatch):
    monkeypatch.setattr(child_processes, "run_in_child", lambda: 75)
    flags = ("--experiment=none.py", "--data_dir=x", "--model_dir=y")
    assert train.main(["train", *flags, "--distribution=multi_worker_mirrored"]) == 75
    assert train.main(["train", *flags]) == 2


@linux
@pytest.mark.processes
@pytest.mark.parametrize("killed", ["parent", "child"])
def test_neither_parent_nor_child_outlives_the_other(killed):
    with started(STUCK_WITH_THE_LOCK) as process:
        child = int(process.stdout.readline().removeprefix("waiting "))
        os.kill(process.pid if killed == "parent" else child, signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        # Both have closed it.
        assert process.stdout.read() == ""


def test_a_signal_that_is_handled_ends_nothing():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    try:
        with peers.ending_in_time(60):
            os.kill(os.getpid(), signal.SIGTERM)
            while not received:
                pass
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.skipif(os.name == "nt", reason="replaces a handler as a library of Unix does")
def test_a_handler_that_a_library_replaced_is_installed_again():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        ignore = ctypes.c_void_p(1)  # SIG_IGN
        ctypes.CDLL(None).signal(int(signal.SIGTERM), ignore)
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == []
        peers.reinstall_signal_handlers()
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)

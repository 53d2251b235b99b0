"""The machines that train together: reading TF_CONFIG, waiting for them, and ending in time.

While TensorFlow waits for another machine, no Python code runs: nothing shows which machine is
missing, and signals have no effect. Therefore the machines find each other here, before TensorFlow
connects them.
"""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from crossask.config.catalogue import did_you_mean
from crossask.errors import ConfigError, CrossaskError

LOG = logging.getLogger("crossask")
ADVICE = (
    'Set {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
    "with another index on each machine, or use crossask-launch."
)
# The chief, if there is one, is number 0.
JOBS = ("chief", "worker")
LARGEST_PORT = 65535
SECONDS_BETWEEN_ATTEMPTS = 0.5
SECONDS_BETWEEN_LINES = 20
SECONDS_TO_CONNECT = 2
# From a signal to the end of a process in which TensorFlow waits.
GRACE_SECONDS = 15
# Exit codes of crossask.cli.command.
STOPPED = {signal.SIGTERM: 75, signal.SIGINT: 2}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The machines of TF_CONFIG.

    Attributes:
      addresses: "host:port" of each machine, the chief's first.
      number: Number of this machine, from 0.
    """

    addresses: tuple[str, ...]
    number: int

    @property
    def others(self) -> tuple[str, ...]:
        """The addresses of the other machines."""
        return self.addresses[: self.number] + self.addresses[self.number + 1 :]


def read(environment: Mapping[str, str]) -> Cluster | None:
    """Returns the machines of TF_CONFIG, or None if it is not set.

    Raises:
      ConfigError: It cannot be used.
    """
    text = environment.get("TF_CONFIG")
    if not text:
        return None
    try:
        return _cluster(text)
    except ValueError as error:
        raise ConfigError(
            f"The environment variable TF_CONFIG cannot be used: {error}.", ADVICE
        ) from error


def _cluster(text: str) -> Cluster:
    """Returns the machines of a text; raises ValueError with what is wrong."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is not JSON ({error})") from error
    settings = _object(settings, "TF_CONFIG")
    cluster = _object(settings.get("cluster"), "cluster")
    for job in cluster:
        if job not in JOBS:
            nearest = did_you_mean(job, JOBS).lower().rstrip("? ")
            advice = nearest or "only chief and worker are known"
            raise ValueError(f"the cluster has the job {job!r}; {advice}")
    places: list[tuple[str, int]] = []
    addresses: list[str] = []
    for job in JOBS:
        listed = cluster.get(job, [])
        if not isinstance(listed, list):
            raise ValueError(f"cluster.{job} is {listed!r}, not a list of addresses")
        for index, address in enumerate(listed):
            _check_address(address, f"cluster.{job}[{index}]")
            if address in addresses:
                raise ValueError(f"the address {address!r} is listed twice")
            places.append((job, index))
            addresses.append(address)
    if ("chief", 1) in places:
        raise ValueError("the cluster has more than one chief")
    if not addresses:
        raise ValueError("the cluster has no machines")
    task = _object(settings.get("task"), "task")
    return Cluster(tuple(addresses), _number(task, places))


def _object(value: Any, name: str) -> dict[str, Any]:
    """Returns a value that is a JSON object; raises ValueError if it is none."""
    if value is None:
        raise ValueError(f"it has no {name!r}")
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {value!r}, not an object")
    return value


def _check_address(address: Any, place: str) -> None:
    """Raises ValueError unless an address is "host:port"."""
    if not isinstance(address, str):
        raise ValueError(f"{place} is {address!r}, not text")
    if "//" in address:
        raise ValueError(f"{place} is {address!r}, with a protocol")
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        raise ValueError(f"{place} is {address!r}, without a port")
    if not host or any(character.isspace() for character in address):
        raise ValueError(f"{place} is {address!r}, without a host or with spaces")
    is_number = port.isascii() and port.isdigit()
    if not is_number or not 1 <= int(port) <= LARGEST_PORT:
        raise ValueError(f"{place} is {address!r}, whose port is not from 1 to {LARGEST_PORT}")


def _number(task: Mapping[str, Any], places: list[tuple[str, int]]) -> int:
    """Returns the number of this machine; raises ValueError if it is not in the cluster."""
    job = task.get("type")
    indices = [index for name, index in places if name == job]
    if not indices:
        jobs = ", ".join(dict.fromkeys(name for name, _ in places))
        raise ValueError(f"task.type is {job!r}, but the cluster has {jobs}")
    index = task.get("index")
    # Some schedulers write it as text.
    if isinstance(index, str) and index.isascii() and index.isdigit():
        index = int(index)
    if isinstance(index, bool) or index not in indices:
        raise ValueError(
            f"task.index is {task.get('index')!r}, but the {job} has the numbers 0 to {indices[-1]}"
        )
    return places.index((job, index))


def meet(cluster: Cluster, timeout_seconds: float) -> None:
    """Waits until all other machines have started, and logs which ones are missing.

    Meanwhile each machine listens at its own address, as TensorFlow does afterwards.

    Raises:
      CrossaskError: Some did not start in time, or the address of this machine is in use.
    """
    if not cluster.others:
        return
    own = cluster.addresses[cluster.number]
    try:
        listener = socket.create_server(("", int(own.rpartition(":")[2])))
    except OSError as error:
        raise CrossaskError(
            f"This machine cannot listen at {own}, its address in TF_CONFIG ({error.strerror}).",
            "End the process that uses the port, or set another port in TF_CONFIG on all machines.",
        ) from error
    with listener:
        _wait_for(cluster.others, timeout_seconds)


def _wait_for(addresses: tuple[str, ...], timeout_seconds: float) -> None:
    """Waits until something listens at each address; raises CrossaskError after the timeout."""
    start = time.monotonic()
    next_line = start + SECONDS_BETWEEN_ATTEMPTS
    missing = list(addresses)
    while True:
        missing = [address for address in missing if not _is_listening(address)]
        now = time.monotonic()
        if not missing:
            return
        listed = ", ".join(missing)
        if now - start >= timeout_seconds:
            raise CrossaskError(
                f"{len(missing)} of {len(addresses)} other machines did not start within "
                f"{timeout_seconds:g} s: {listed}.",
                "Start the same command there, check the addresses in TF_CONFIG and the firewall, "
                "or raise --peer_timeout.",
            )
        if now >= next_line:
            LOG.info(
                "Waiting for %d of %d other machines: %s (%.0f s of %.0f s).",
                len(missing),
                len(addresses),
                listed,
                now - start,
                timeout_seconds,
            )
            next_line = now + SECONDS_BETWEEN_LINES
        time.sleep(SECONDS_BETWEEN_ATTEMPTS)


def _is_listening(address: str) -> bool:
    """Returns whether something listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def ending_in_time(grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
    """Ends this process some seconds after SIGTERM or Ctrl-C if the block has not ended by then.

    Python only handles a signal when TensorFlow returns, which it does not do while another machine
    is missing. A training step that ends in time is handled as usual: the state is saved.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Python writes the number of a signal there at once, whatever runs.
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(reader, ended, grace_seconds), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        # The thread reads the end of the pipe.
        os.close(writer)


def reinstall_signal_handlers() -> None:
    """Installs Python's handlers of SIGTERM and Ctrl-C again, after the machines were connected.

    When TensorFlow connects the machines, it replaces the handler of SIGTERM by one of its own.
    Python's handler would then not be called.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in STOPPED:
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)


def _watch(reader: int, ended: threading.Event, grace_seconds: float) -> None:
    """Ends this process if a signal arrives and `ended` is not set some seconds later.

    Args:
      reader: Pipe from which the numbers of signals are read, until its other end is closed.
      ended: Set when the watched block has ended.
      grace_seconds: Seconds from the signal to the end of the process.
    """
    try:
        while True:
            received = os.read(reader, 1)
            if not received:
                return
            number = received[0]
            if number in STOPPED and not ended.wait(grace_seconds):
                text = "Error: Stopped while TensorFlow waited for another machine.\n"
                fix = "Run the same command again on all machines to go on.\n"
                os.write(2, (text + fix).encode())
                os._exit(STOPPED[signal.Signals(number)])
    finally:
        os.close(reader)

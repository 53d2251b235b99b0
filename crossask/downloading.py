"""Downloads one file over HTTP: continues a partial file, and tries again after failures.

The environment's proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and certificates (SSL_CERT_FILE,
REQUESTS_CA_BUNDLE) apply.
"""

import email.utils
import logging
import os
import re
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import certifi
import httpx

from crossask.errors import DownloadError
from crossask.version import __version__

LOG = logging.getLogger("crossask")
TIMEOUT_SECONDS = 60
# A server may request a longer pause before the next try; longer ones are cut to this.
LONGEST_PAUSE_SECONDS = 900
# Time between two reports of a pause.
REPORT_SECONDS = 60

# HTTP statuses that ask the client to wait; the others from 400 to 499 are final.
BUSY_STATUSES = (408, 425, 429)

# Zenodo wants to know which program sends a request. The server must not compress the content:
# the bytes that arrive must be those of the file.
HEADERS = {"User-Agent": f"crossask/{__version__}", "Accept-Encoding": "identity"}

# A file of a record on Zenodo. Old addresses have "record", new ones "records".
_ZENODO_FILE = re.compile(r"(?P<start>.*/)(?P<form>records?)(?P<end>/\d+/files/.*)")

# Called with (bytes so far, bytes in all).
Progress = Callable[[int, int], None]


class _RetryableError(DownloadError):
    """A failure after which another try may succeed.

    Attributes:
      pause_seconds: The pause that the server requests; 0 if it requests none.
    """

    def __init__(self, problem: str, fix: str, pause_seconds: float = 0):
        super().__init__(problem, fix)
        self.pause_seconds = pause_seconds


class _RefusedError(DownloadError):
    """A response without the file, which another try would not change."""


def download(
    url: str,
    part: Path,
    progress: Progress | None = None,
    size: int | None = None,
    pauses_seconds: Sequence[float] = (),
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Downloads `url` to the file `part`; continues a partial file if the server allows it.

    Args:
      url: Address of the file. For a file of a record on Zenodo, the old and the new form of the
        address are tried.
      part: Path to write to.
      progress: Called with the bytes so far and the bytes in all as far as the server says.
      size: Bytes of the whole file, if known. A file of this size is then left as it is without a
        request, and a server that offers another size is refused before the first byte.
      pauses_seconds: Pause before each further try after a broken connection; without pauses there
        is one try. A try that gets further than all before it makes all pauses available again.
        If the server requests a longer pause, that one is made, up to LONGEST_PAUSE_SECONDS.
      pause: Function that waits for the given seconds.

    Raises:
      DownloadError: The file cannot be downloaded completely, or has another size. What has
        arrived stays in `part`.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    if size is not None and _bytes_of(part) > size:
        # It belongs to another file.
        part.unlink()
    pauses_left = list(pauses_seconds)
    most_bytes = _bytes_of(part)
    while size is None or _bytes_of(part) != size:
        try:
            _try_once(url, part, progress, size)
            return
        except _RetryableError as error:
            # The largest size ever reached counts, so that a server that starts from the beginning
            # each time does not cause endless tries.
            if _bytes_of(part) > most_bytes:
                most_bytes = _bytes_of(part)
                pauses_left = list(pauses_seconds)
            if not pauses_left:
                raise DownloadError(error.problem, error.fix) from error
            seconds = max(pauses_left.pop(0), min(error.pause_seconds, LONGEST_PAUSE_SECONDS))
            LOG.warning("%s Another try in %.0f s.", error.problem, seconds)
            _wait(seconds, pause)


def checksum(path: Path, algorithm: str) -> str:
    """Returns the hexadecimal "md5" or "sha256" of a file, in constant memory."""
    # Only pooch's hashing is used. Its `retrieve` downloads to a temporary name, which is lost if
    # the process is killed.
    import pooch

    return pooch.file_hash(str(path), alg=algorithm)


def _wait(seconds: float, pause: Callable[[float], object]) -> None:
    """Waits, and logs the remaining time every minute."""
    while seconds > REPORT_SECONDS:
        pause(REPORT_SECONDS)
        seconds -= REPORT_SECONDS
        LOG.info("The next try is in %.0f s.", seconds)
    pause(seconds)


def _try_once(url: str, part: Path, progress: Progress | None, size: int | None) -> None:
    """Requests the rest of the file and writes it to `part`."""
    with _client() as client:
        response, arrived = _request(client, url, _bytes_of(part))
        length = response.headers.get("Content-Length")
        if size is not None:
            total = size
        else:
            total = arrived + int(length or 0)
        if length is not None and arrived + int(length) != total:
            raise DownloadError(
                f"{url} offers {arrived + int(length)} bytes, not {total}.",
                "Try again later, or download it from elsewhere.",
            )
        try:
            with open(part, "ab" if arrived else "wb") as file:
                # Blocks of a fixed size would lose the last, shorter one if the connection breaks.
                for block in response.iter_raw():
                    file.write(block)
                    arrived += len(block)
                    if progress:
                        progress(arrived, max(arrived, total))
        except OSError as error:
            raise DownloadError(
                f"{part} cannot be written ({error}).",
                "Free some space, or choose another folder.",
            ) from error
        except httpx.HTTPError as error:
            raise _broken_off(url, arrived, total, str(error)) from error
    if arrived < total:
        raise _broken_off(url, arrived, total, "the response has no more")


def _broken_off(url: str, arrived: int, total: int, reason: str) -> DownloadError:
    """Returns the error for a response that ended too early; `total` is 0 if it is unknown."""
    size = f"{arrived} of {total} bytes" if total else f"{arrived} bytes"
    return _RetryableError(
        f"{url} broke off after {size} ({reason}).",
        "Run the same command again: it continues there.",
    )


def _client() -> httpx.Client:
    """Returns a client with the proxies and certificates of the environment."""
    try:
        return httpx.Client(
            headers=HEADERS,
            timeout=TIMEOUT_SECONDS,
            verify=_certificates(),
            follow_redirects=True,
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"The proxy of the environment cannot be used ({error}).",
            "Correct HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or unset them.",
        ) from error


def _certificates() -> ssl.SSLContext:
    """Returns the certificates to trust.

    These are the ones of SSL_CERT_FILE and REQUESTS_CA_BUNDLE. Without these variables, they are
    the system's and those of the package certifi, since not every Python finds the system's.
    """
    # OpenSSL reads SSL_CERT_FILE instead of the system's file, and ignores one that does not exist.
    context = ssl.create_default_context()
    given = False
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        path = os.environ.get(variable)
        if not path:
            continue
        given = True
        try:
            if Path(path).is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except OSError as error:
            raise DownloadError(
                f"{variable} is {path!r}, which cannot be read as certificates ({error}).",
                "Set it to a PEM file with the certificates to trust, or unset it.",
            ) from error
    if not given:
        context.load_verify_locations(cafile=certifi.where())
    return context


def _request(client: httpx.Client, url: str, arrived: int) -> tuple[httpx.Response, int]:
    """Requests the bytes of `url` after the first `arrived`.

    Returns:
      The response, and the bytes that it leaves out: `arrived`, or 0 if it has the whole file.
    """
    try:
        return _request_at(client, url, arrived)
    except _RefusedError as error:
        other = _other_zenodo_address(url)
        if other is None:
            raise
        try:
            return _request_at(client, other, arrived)
        except _RefusedError:
            # The message has the address that is published.
            raise error from None


def _request_at(client: httpx.Client, url: str, arrived: int) -> tuple[httpx.Response, int]:
    """Requests the same from this address only."""
    if arrived:
        response = _send(client, url, {"Range": f"bytes={arrived}-"})
        content_range = response.headers.get("Content-Range") or ""
        is_part = response.status_code == httpx.codes.PARTIAL_CONTENT
        if is_part and content_range.startswith(f"bytes {arrived}-"):
            return response, arrived
        if response.status_code == httpx.codes.OK:
            return response, 0
        response.close()
        if _is_busy(response.status_code):
            raise _status_error(url, response)
        # The response contains another part of the file, the partial file is whole or is another
        # file, or the server refuses to send parts of files.
    response = _send(client, url, {})
    if response.is_success:
        return response, 0
    response.close()
    raise _status_error(url, response)


def _send(client: httpx.Client, url: str, headers: dict[str, str]) -> httpx.Response:
    """Returns the response to a request, before its content is read."""
    try:
        return client.send(client.build_request("GET", url, headers=headers), stream=True)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        # UnicodeError is a name of a host with two dots in a row, or with more than 63 characters
        # between them.
        raise _connection_error(url, error) from error


def _connection_error(url: str, error: Exception) -> DownloadError:
    """Returns the error for a request without a response, retryable or final."""
    problem = f"{url} cannot be fetched ({error})."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DownloadError(
            problem,
            "Set SSL_CERT_FILE to a PEM file with the certificate of the server, or of your proxy.",
        )
    is_final = isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError))
    kind = DownloadError if is_final else _RetryableError
    return kind(problem, "Run the same command again, or download it by hand.")


def _status_error(url: str, response: httpx.Response) -> DownloadError:
    """Returns the error for a response without the file, retryable or final."""
    problem = (
        f"{url} cannot be fetched (HTTP status {response.status_code} {response.reason_phrase})."
    )
    fix = "Run the same command again, or download it by hand."
    pause_seconds = _retry_after(response)
    if pause_seconds:
        problem += f" The server requests a pause of {pause_seconds:.0f} s."
    if pause_seconds or _is_busy(response.status_code):
        return _RetryableError(problem, fix, pause_seconds)
    return _RefusedError(problem, fix)


def _is_busy(status: int) -> bool:
    """Returns whether a later request may get another status."""
    return status in BUSY_STATUSES or httpx.codes.is_server_error(status)


def _retry_after(response: httpx.Response) -> float:
    """Returns the pause in seconds that a response requests; 0 if it requests none.

    The header Retry-After contains seconds or a date (RFC 9110, section 10.2.3).
    """
    value = response.headers.get("Retry-After", "")
    if re.fullmatch("[0-9]+", value):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0, date.timestamp() - time.time())


def _other_zenodo_address(url: str) -> str | None:
    """Returns the other form of the address of a file on Zenodo; None for other addresses."""
    match = _ZENODO_FILE.fullmatch(url)
    if match is None:
        return None
    other_form = "record" if match["form"] == "records" else "records"
    return match["start"] + other_form + match["end"]


def _bytes_of(path: Path) -> int:
    """Returns the size of a file, 0 if there is none."""
    if path.is_file():
        return path.stat().st_size
    return 0

"""Downloading one file over HTTP: continues a partial file, and tries again after failures."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from crossask.errors import DownloadError

LOG = logging.getLogger("crossask")
BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60

# HTTP statuses that ask the client to wait; the others from 400 to 499 are final.
BUSY_STATUSES = (408, 425, 429)
PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416

# Called with (bytes so far, bytes in all).
Progress = Callable[[int, int], None]


class _RetryableError(DownloadError):
    """A failure after which another try may succeed."""


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
      url: Address of the file.
      part: Path to write to.
      progress: Called with the bytes so far and the bytes in all as far as the server says.
      size: Bytes of the whole file, if known. A file of this size is then left as it is without a
        request, and a server that offers another size is refused before the first byte.
      pauses_seconds: Pause before each further try after a broken connection; without pauses there
        is one try. A try that gets further than all before it makes all pauses available again.
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
            seconds = pauses_left.pop(0)
            LOG.warning("%s Another try in %g s.", error.problem, seconds)
            pause(seconds)


def checksum(path: Path, algorithm: str) -> str:
    """Returns the hexadecimal "md5" or "sha256" of a file, in constant memory."""
    # Only pooch's hashing is used. Its `retrieve` downloads to a temporary name, which is lost if
    # the process is killed.
    import pooch

    return pooch.file_hash(str(path), alg=algorithm)


def _try_once(url: str, part: Path, progress: Progress | None, size: int | None) -> None:
    """Makes one request and writes its content to `part`."""
    response, arrived = _request(url, _bytes_of(part))
    with response:
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
                for block in _blocks(response, url):
                    file.write(block)
                    arrived += len(block)
                    if progress:
                        progress(arrived, max(arrived, total))
        except OSError as error:
            raise DownloadError(
                f"{part} cannot be written ({error}).",
                "Free some space, or choose another folder.",
            ) from error
    if arrived < total:
        raise _RetryableError(
            f"{url} broke off after {arrived} of {total} bytes.",
            "Run the same command again: it continues there.",
        )


def _blocks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK_BYTES):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _download_error(url, error) from error


def _request(url: str, arrived: int) -> tuple[http.client.HTTPResponse, int]:
    """Requests the bytes of `url` after the first `arrived`.

    Returns:
      The response, and the bytes that it leaves out: `arrived`, or 0 if it has the whole file.
    """
    headers = {}
    if arrived:
        headers["Range"] = f"bytes={arrived}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if arrived and _status_of(error) == RANGE_NOT_SATISFIABLE:
            # The server has no further bytes: the partial file is whole, or is another file.
            return _request(url, 0)
        raise _download_error(url, error) from error
    if response.status != PARTIAL_CONTENT:
        return response, 0
    content_range = response.headers.get("Content-Range") or ""
    if content_range.startswith(f"bytes {arrived}-"):
        return response, arrived
    # The response contains another part of the file.
    response.close()
    return _request(url, 0)


def _download_error(url: str, error: Exception) -> DownloadError:
    """Returns the error for a failed request, retryable or final."""
    status = _status_of(error)
    is_refused = status is not None and 400 <= status < 500 and status not in BUSY_STATUSES
    # urllib raises ValueError for text that is no address.
    is_final = is_refused or isinstance(error, ValueError)
    kind = DownloadError if is_final else _RetryableError
    return kind(
        f"{url} cannot be fetched ({error}).",
        "Run the same command again, or download it by hand.",
    )


def _status_of(error: Exception) -> int | None:
    """Returns the HTTP status of an error; None if there is none."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code
    return None


def _bytes_of(path: Path) -> int:
    """Returns the size of a file, 0 if there is none."""
    if path.is_file():
        return path.stat().st_size
    return 0

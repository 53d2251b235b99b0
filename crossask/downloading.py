"""One file over HTTP: goes on from what is there, and tries again where that may help."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path

from crossask.errors import DownloadError

LOG = logging.getLogger("crossask")
BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60
# the server asks for patience; its other refusals (400 to 499) are final
BUSY = (408, 425, 429)


class _BrokenOff(DownloadError):
    """Another try may end better."""


def download(
    url: str,
    part: Path,
    progress=None,
    size: int | None = None,
    pauses_seconds=(),
    pause=time.sleep,
):
    """Writes what `url` gives to `part`; goes on from what is there already, where the server allows it.

    Args:
      progress: called with (bytes done, bytes in all, as far as the server says).
      size: bytes of the whole file, where they are known: a whole `part` is then left alone without asking the server, and a
        server that offers another file is refused before its first byte.
      pauses_seconds: how long to wait before each further try after a broken connection; empty: one try. A try that brought
        the file further makes all of them available again.
      pause: called with these seconds.

    Raises:
      DownloadError: it cannot be fetched, broke off or has another size; what has arrived stays in `part`.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    if size is not None and _size(part) > size:
        part.unlink()  # of another file
    left, furthest = list(pauses_seconds), _size(part)
    while size is None or _size(part) != size:
        try:
            return _attempt(url, part, progress, size)
        except _BrokenOff as error:
            # counted from the furthest point ever reached: a server that starts over each time ends the tries
            if _size(part) > furthest:
                left, furthest = list(pauses_seconds), _size(part)
            if not left:
                raise DownloadError(error.problem, error.fix) from error
            LOG.warning("%s Another try in %g s.", error.problem, left[0])
            pause(left.pop(0))


def checksum(path: Path, algorithm: str) -> str:
    """Hexadecimal digits of "md5" or "sha256" over a file, in constant memory."""
    # pooch's hashing alone: its `retrieve` downloads to a name of its own and drops it when the process is killed
    import pooch

    return pooch.file_hash(str(path), alg=algorithm)


def _attempt(url: str, part: Path, progress, size: int | None):
    answer, have = _open(url, _size(part))
    with answer:
        length = answer.headers.get("Content-Length")
        total = size if size is not None else have + int(length or 0)
        if length is not None and have + int(length) != total:
            raise DownloadError(
                f"{url} offers {have + int(length)} bytes, not {total}.",
                "Try again later, or take it from elsewhere.",
            )
        try:
            with open(part, "ab" if have else "wb") as file:
                for block in _blocks(answer, url):
                    file.write(block)
                    have += len(block)
                    if progress:
                        progress(have, max(have, total))
        except OSError as error:
            raise DownloadError(
                f"{part} cannot be written ({error}).",
                "Make room for it, or choose another folder.",
            ) from error
    if have < total:
        raise _BrokenOff(
            f"{url} broke off after {have} of {total} bytes.",
            "Run the same command again: it goes on from there.",
        )


def _blocks(answer, url: str):
    try:
        while block := answer.read(BLOCK_BYTES):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error


def _open(url: str, have: int):
    """(answer, bytes that it leaves out because they are there)."""
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if have and isinstance(error, urllib.error.HTTPError) and error.code == 416:
            # nothing lies beyond what is there: it was whole, or of another file
            return _open(url, 0)
        raise _unreachable(url, error) from error
    resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(
        f"bytes {have}-"
    )
    if answer.status == 206 and not resumed:
        answer.close()
        return _open(url, 0)
    return answer, have if resumed else 0


def _unreachable(url: str, error: Exception) -> DownloadError:
    refused = (
        isinstance(error, urllib.error.HTTPError)
        and 400 <= error.code < 500
        and error.code not in BUSY
    )
    final = refused or isinstance(error, ValueError)  # a ValueError: this is no address
    return (DownloadError if final else _BrokenOff)(
        f"{url} cannot be fetched ({error}).", "Run the same command again, or download it by hand."
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

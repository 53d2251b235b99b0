"""One file over HTTP, resumable."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from crossask.errors import WeightsError

BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60


def download(url: str, part: Path, progress=None):
    """Writes what `url` gives to `part`; goes on from what is there already, where the server allows it.

    Args:
      progress: called with (bytes done, bytes in all, as far as the server says).

    Raises:
      WeightsError: it cannot be fetched, or broke off; what has arrived stays in `part`.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        answer, have = _open(url, part.stat().st_size if part.is_file() else 0)
        with answer, open(part, "ab" if have else "wb") as file:
            total = have + int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(BLOCK_BYTES):
                file.write(block)
                have += len(block)
                if progress:
                    progress(have, max(have, total))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WeightsError(f"{url} cannot be fetched ({error}).", "Run the same command again, or download it by hand.") from error
    if have < total:
        raise WeightsError(f"{url} broke off after {have} of {total} bytes.", "Run the same command again: it goes on from there.")


def _open(url: str, have: int):
    """(answer, bytes that it leaves out because they are there)."""
    if not have:
        return urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS), 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # nothing lies beyond what is there: it was whole, or of another file
        return _open(url, 0)
    resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
    if answer.status == 206 and not resumed:
        answer.close()
        return _open(url, 0)
    return answer, have if resumed else 0

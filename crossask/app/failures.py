"""Logs a failed request in one line, and responds to it without details of the server.

Gradio and its web server would print a stack trace: for a visitor who leaves during an upload, and
for values that programs make up.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossask.errors import first_line

LOG = logging.getLogger("crossask")
# Largest body of a request that uploads no file. It is in memory as a whole.
MOST_BYTES = 10_000_000
UPLOAD = "/gradio_api/upload"
TOO_LARGE = f"A request has at most {MOST_BYTES // 1_000_000} MB; sounds are uploaded as files."
NOT_ANSWERED = "This request failed. The log of the server says why."
UNUSABLE_VALUES = (
    "The page cannot use this request. If the recording was chosen long ago, it is no longer on "
    "the server: choose it again."
)
ADDRESS_GIVEN = "The page downloads no recordings. Download the file, and upload it."


class Page(gr.Blocks):
    """A page that refuses unexpected values of a request: paths, names of choices, other types."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *others: Any, **named: Any
    ) -> list[Any]:
        """Returns the values of a request as the handler takes them; gr.Error if it cannot."""
        if block_fn.fn is None:
            # Some events are handled by the browser alone.
            raise gr.Error(UNUSABLE_VALUES, print_exception=False)
        # Gradio would download a file of any size as a whole into memory, for whoever asks.
        if _has_address(inputs):
            raise gr.Error(ADDRESS_GIVEN, print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, *others, **named)
        except Exception as error:
            raise gr.Error(UNUSABLE_VALUES, print_exception=False) from error


def _has_address(values: list[Any]) -> bool:
    """Returns whether JSON values contain a file whose path is an address of the web."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if is_http_url_like(value.get("path")):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def logged_failures() -> Middleware:
    """Returns the middleware that logs failed requests, and responds with the status 500."""
    return Middleware(_LoggedFailures)


class _TooLargeError(Exception):
    """The body of a request is too large."""


class _LoggedFailures:
    """Catches the errors of requests."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            # This is the start of the server. An error there ends it, and is no failed request.
            await self.app(scope, receive, send)
            return
        has_begun = False
        received = 0
        # Gradio limits the size of the files that are uploaded.
        is_limited = scope["path"] != UPLOAD

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if is_limited and received > MOST_BYTES:
                raise _TooLargeError
            return message

        async def noticed(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, counted, noticed)
        except ClientDisconnect:
            # The visitor has left and reads no response.
            return
        except _TooLargeError:
            await PlainTextResponse(TOO_LARGE, status_code=413)(scope, receive, send)
        except Exception as error:
            LOG.warning("The request %r failed (%s).", scope["path"], first_line(error))
            # A second response cannot be sent. One that has begun remains without an end, which the
            # browser reports as an error.
            if scope["type"] == "http" and not has_begun:
                await PlainTextResponse(NOT_ANSWERED, status_code=500)(scope, receive, send)


def remove_old_files(folder: Path, seconds: float) -> None:
    """Removes the files in a folder that have not changed for some seconds.

    Gradio does so, too, but not with what was uploaded before a visitor left.
    """
    oldest = time.time() - seconds
    # os.walk ignores folders that are removed at the same time; rglob raises an error.
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                if path.is_file() and path.stat().st_ctime < oldest:
                    path.unlink()
            except FileNotFoundError:
                # Gradio may remove it at the same time.
                continue
            except OSError as error:
                # The next file is removed all the same.
                LOG.warning("%s cannot be removed (%s).", path, error.strerror)

"""Refuses requests that a web page of another server makes the browser of a visitor send.

There are two ways. The other server lets its own name resolve to the address of this one (DNS
rebinding); then that name is the host of the request. Or its page sends a request to the address
of this server; then its own address is the origin of the request. An address in digits is not
resolved, so it is always allowed as a host.
"""

import ipaddress
import platform
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


def known_hosts(names: Sequence[str]) -> Middleware:
    """Returns the middleware that refuses requests with an unknown host or origin.

    Args:
      names: Names besides the addresses in digits, localhost and the names of this machine.
    """
    return Middleware(_KnownHosts, names=names)


def refusal(host: str, origin: str | None, names: Sequence[str]) -> str | None:
    """Returns why a request is refused, or None if it is not.

    Args:
      host: The header Host.
      origin: The header Origin, which browsers send with each request of another page; or None.
      names: As in `known_hosts`.
    """
    known = {"localhost", *(name.lower() for name in names)}
    machine = platform.node().lower()
    if machine:
        known |= {machine, f"{machine}.local"}
    name = _name_in(f"//{host}")
    if not (name in known or _is_address(name)):
        return (
            f"This page is not served under the name {name!r}. "
            f"If it should be, start it with --public_name={name or 'NAME'}."
        )
    # A proxy may send another host than the one that the visitor sees.
    if origin is not None and _name_in(origin) not in {name, *known}:
        return (
            f"This page takes no requests from the page {origin!r}. "
            f"If it should, start it with --public_name={_name_in(origin) or 'NAME'}."
        )
    return None


class _KnownHosts:
    """Responds to a request that is refused with the status 403."""

    def __init__(self, app: ASGIApp, names: Sequence[str]):
        self.app = app
        self.names = tuple(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            reason = refusal(headers.get("host", ""), headers.get("origin"), self.names)
            if reason is not None:
                app = PlainTextResponse(reason, status_code=403)
        await app(scope, receive, send)


def _name_in(address: str) -> str:
    """Returns the name of the server in an address, in small letters; "" if there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

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


def known_hosts(served: str, public_names: Sequence[str]) -> Middleware:
    """Returns the middleware that refuses requests with an unknown host or origin.

    Args:
      served: Name or address to which the server is bound. It is a known host, as are all
        addresses in digits, localhost and the names of this machine.
      public_names: Further names, under which a proxy shows the page to visitors.
    """
    return Middleware(_KnownHosts, served=served, public_names=public_names)


def refusal(host: str, origin: str | None, served: str, public_names: Sequence[str]) -> str | None:
    """Returns why a request is refused, or None if it is not.

    Args:
      host: The header Host.
      origin: The header Origin, which browsers send with each request of another page; or None.
      served: As in `known_hosts`.
      public_names: As in `known_hosts`.
    """
    public = {name.lower() for name in public_names}
    known = {"localhost", served.lower(), *public}
    machine = platform.node().lower()
    if machine:
        known |= {machine, f"{machine}.local"}
    name = _name_in(f"//{host}")
    if not (name in known or _is_address(name)):
        return (
            f"This page is not served under the name {name!r}. "
            f"If it should be, start it with --public_name={name or 'NAME'}."
        )
    if origin is None:
        return None
    # Another port of the same host is another server.
    is_own = origin.lower().partition("://")[2] == host.lower()
    # A proxy may send another host than the one that the visitor sees.
    is_public = _name_in(origin) in public
    if is_own or is_public:
        return None
    return (
        f"This page takes no requests from the page {origin!r}. "
        f"If it should, start it with --public_name={_name_in(origin) or 'NAME'}."
    )


class _KnownHosts:
    """Responds to a request that is refused with the status 403."""

    def __init__(self, app: ASGIApp, served: str, public_names: Sequence[str]):
        self.app = app
        self.served = served
        self.public_names = tuple(public_names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            host = headers.get("host", "")
            reason = refusal(host, headers.get("origin"), self.served, self.public_names)
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

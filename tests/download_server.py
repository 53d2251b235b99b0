"""A local web server that breaks off, refuses, asks for pauses, and is a proxy."""

import contextlib
import http.server
import select
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the files of a `Server` with its failures."""

    def do_GET(self):
        server = self.server
        address = urllib.parse.urlsplit(self.path)
        if address.netloc:
            # A proxy gets whole addresses.
            server.proxied.append(self.path)
        range_header = self.headers.get("Range")
        name = address.path.lstrip("/")
        server.requests.append((name, range_header))
        server.user_agents.append(self.headers.get("User-Agent"))
        if address.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[address.path])
            self.end_headers()
            return
        if address.path in server.refused:
            self._refuse((server.refused[address.path], {}))
            return
        if server.refusals:
            self._refuse(server.refusals.pop(0))
            return
        if range_header and server.refusal_of_ranges:
            self._refuse((server.refusal_of_ranges, {}))
            return
        content = server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if range_header and server.has_ranges:
            start = int(range_header.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.sends_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if server.cuts:
            end = start + server.cuts.pop(0)
        self.wfile.write(content[start:end])

    def do_CONNECT(self):
        """Passes bytes on in both directions, as a proxy does for https."""
        self.server.proxied.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            partners = {self.connection: other, other: self.connection}
            while True:
                for readable in select.select(list(partners), [], [])[0]:
                    received = readable.recv(1 << 16)
                    if not received:
                        self.close_connection = True
                        return
                    partners[readable].sendall(received)

    def log_message(self, *_):
        pass

    def _refuse(self, refusal):
        status, headers = refusal
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    """A server with files and failures.

    Attributes:
      files: Name -> content.
      requests: (name, header "Range") of each request so far.
      user_agents: Header "User-Agent" of each request so far.
      proxied: Addresses that were requested from the server as a proxy.
      cuts: For each of the next responses, the bytes after which the connection is closed.
      redirects: Path -> address.
      refused: Path -> HTTP status of every response.
      refusals: (HTTP status, headers) of the next responses.
      refusal_of_ranges: HTTP status for every request of a part of a file; 0 for none.
      has_ranges: Whether the server sends parts of files.
      sends_length: Whether the server sends the length of files.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.requests = []
        self.user_agents = []
        self.proxied = []
        self.cuts = []
        self.redirects = {}
        self.refused = {}
        self.refusals = []
        self.refusal_of_ranges = 0
        self.has_ranges = True
        self.sends_length = True
        self.url = f"http://127.0.0.1:{self.server_port}"

    def names_requested(self):
        return [name for name, _ in self.requests]

    def handle_error(self, *_):
        """Writes nothing about a client that refuses the certificate."""


@contextlib.contextmanager
def running(certificate: Path | None = None) -> Iterator[Server]:
    """Runs a server; with a certificate (and its key in the same file) it speaks https."""
    with Server() as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Each connection shakes hands in its own thread, so that a refused one stops nothing.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            server.url = server.url.replace("http:", "https:")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()

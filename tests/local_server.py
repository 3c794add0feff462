"""A file server on the loopback interface that misbehaves on demand."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """One served body: how it misbehaves, and what was asked of it."""

    def __init__(self, body, *, manner="normal", hold=None):
        self.body = body
        self.manner = manner
        self.hold = hold
        self.ranges = []
        self.bytes_sent = 0

    @property
    def requests(self):
        """Number of requests so far."""
        return len(self.ranges)


class LocalServer(ThreadingHTTPServer):
    """Serve ``files``: path to ``Served``; all other paths are 404 and counted in ``missed``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {}
        self.missed = []

    def url(self, path):
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def serve(self, path, body, **how):
        """Serve a body under a path; return its record and its address."""
        self.files[f"/{path}"] = Served(body, **how)
        return self.files[f"/{path}"], self.url(path)

    def handle_error(self, request, client_address):
        """Say nothing when a client hangs up."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        served = self.server.files.get(self.path)
        if served is None:
            self.server.missed.append(self.path)
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        served.ranges.append(asked)
        if served.hold:
            served.hold(served)
        body, manner = served.body, served.manner
        start = 0
        if asked and manner == "refuses range":
            self.send_error(416)
            return
        if asked and manner not in ("ignores range", "no length"):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))
        self.send_response(206 if start else 200)
        if start:
            told = 0 if manner == "wrong range" else start
            self.send_header("Content-Range", f"bytes {told}-{len(body) - 1}/{len(body)}")
        if manner != "no length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        stop = len(body)
        if manner == "dies half-way" and served.requests == 1:
            stop = len(body) // 2
        chunk = 7 if manner == "slow" else 4096
        for at in range(start, stop, chunk):
            piece = body[at : min(at + chunk, stop)]
            self.wfile.write(piece)
            self.wfile.flush()
            served.bytes_sent += len(piece)

    def log_message(self, *_):
        """Keep the test output clean."""


@contextmanager
def local_server():
    """Run a server in the background for the length of a ``with`` block."""
    server = LocalServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""A file server on the loopback interface that misbehaves on demand."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """One served body: how it misbehaves, and how often it was asked for."""

    def __init__(self, body, *, manner="normal", hold=None):
        self.body = body
        self.manner = manner
        self.hold = hold
        self.requests = 0


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
        served.requests += 1
        if served.hold:
            served.hold(served)
        body = served.body
        self.send_response(200)
        if served.manner != "no length":
            self.send_header("Content-Length", str(len(body)))
        if served.manner == "encodes" and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if served.manner == "dies half-way" else body)

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

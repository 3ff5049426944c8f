"""A web hook as a merchant's chat has one: takes JSON over HTTP and remembers it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class WebHook:
    """What came, and what the next call is answered."""

    port: int = 0
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    @property
    def address(self) -> str:
        """As apprise writes it, with a token in the path and a password."""
        return f"json://someone:hunter2pass@127.0.0.1:{self.port}/hook/s3cr3t-t0ken"

    def titles(self) -> list[str]:
        """Of everything that came, in order."""
        return [message["title"] for message in self.messages]


@contextmanager
def web_hook() -> Iterator[WebHook]:
    """A listening web hook on a free port."""
    hook = WebHook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status == 200:
                hook.messages.append(json.loads(body))
            else:
                hook.refused += 1
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

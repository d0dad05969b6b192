"""A proxy that waits before it forwards a request: `python -m tests.cluster.slow_proxy PORT TARGET SECONDS LOG`.

The log is there as soon as the proxy listens. Each request adds a line to it: the times of its arrival and its answer,
in milliseconds since the epoch.
"""

from __future__ import annotations

import http.client
import http.server
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def handler(target: str, delay_s: float, log: Path) -> type[http.server.BaseHTTPRequestHandler]:
    """Make a handler that passes on the target's answers late."""

    class Slow(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            came = time.time_ns() // 1_000_000
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(delay_s)
            connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()
            with log.open("a") as file:
                file.write(f"{came} {time.time_ns() // 1_000_000}\n")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  # http.server's names

        def log_message(self, *args: object) -> None:
            """Print nothing on the terminal."""

    return Slow


if __name__ == "__main__":
    port, target, seconds, log = sys.argv[1:]
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler(target, float(seconds), Path(log)))
    Path(log).touch()
    proxy.serve_forever()

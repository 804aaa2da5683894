"""Serves the client module and the pages of these tests, on a port of its own."""

import http.server
import os
import threading

from harness.broker import REPO, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
# CHAT_WEB: another copy of web/, such as one that was broken on purpose.
WEB = os.path.abspath(os.environ.get("CHAT_WEB") or os.path.join(REPO, "web"))
NODE_MODULES = os.environ.get("CHAT_NODE_MODULES", "")
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

# The module with a clock of the test's in the place of the real one: its globals are shadowed.
FAKE = b"const { setTimeout, clearTimeout, Date, performance } = globalThis.fakeClock;\n"


def file_of(path):
    """The bytes and the name that a path stands for."""
    name = path.split("?")[0].lstrip("/")
    if name == "fake/chat-client.js":
        with open(os.path.join(WEB, "chat-client.js"), "rb") as f:
            return FAKE + f.read(), name
    for folder, wanted in ((WEB, name), (os.path.join(HERE, "pages"), name), (NODE_MODULES, name.replace("node_modules/", "", 1))):
        full = os.path.normpath(os.path.join(folder, wanted))
        if folder and full.startswith(folder + os.sep) and os.path.isfile(full):
            with open(full, "rb") as f:
                return f.read(), name
    return None, name


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body, name = file_of(self.path)
        self.send_response(404 if body is None else 200)
        body = body or b""
        self.send_header("Content-Type", TYPES.get(os.path.splitext(name)[1], "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Site:
    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), _Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        self.url = "http://127.0.0.1:%d/" % self.server.server_port

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

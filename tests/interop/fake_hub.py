"""A Hub on this machine: an HTTP server that takes uploads of small files and gives them back, as the real one does."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


class Hub(BaseHTTPRequestHandler):
    """Answers of the Hub's API; `files` holds what was uploaded, by repository and name."""

    files: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            self.answer({"url": f"http://{self.headers['Host']}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif "/commit/" in path:
            name = path.removeprefix("/api/models/").split("/commit/")[0]
            lines = [json.loads(line) for line in body.splitlines()]
            for line in lines:
                if line["key"] == "file":
                    self.files[f"{name}/{line['value']['path']}"] = base64.b64decode(line["value"]["content"])
            url = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
            self.answer({"commitUrl": url, "commitOid": COMMIT, "success": True})
        else:
            self.answer({"error": path}, 404)

    def do_GET(self):
        name, _, rest = urlsplit(self.path).path.strip("/").partition("/resolve/")
        content = self.files.get(f"{name}/{rest.partition('/')[2]}")
        if content is None:
            self.answer({"error": "none"}, 404, X_Error_Code="EntryNotFound")
            return
        self.answer(content, ETag=f'"{hashlib.sha256(content).hexdigest()}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


@contextmanager
def serving():
    """The address of a running Hub, and the files that it holds."""
    files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHub", (Hub,), {"files": files}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

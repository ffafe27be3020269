"""Downloads from servers that are slow or stop in the middle."""

import hashlib
import http.server
import threading
import time

import pooch
import pytest

from capsnet.data.download import find_files
from capsnet.errors import UserError

CONTENT = b"content" * 100
CHECKSUM = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server that stalls in the middle of a file, or sends it in small pieces."""
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(pooch.downloaders, "DEFAULT_TIMEOUT", 0.4)
    ended = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            for start in range(0, len(CONTENT), 100):
                if "stalled" in self.path and start == 300:
                    ended.wait(5)
                    return
                self.wfile.write(CONTENT[start : start + 100])
                time.sleep(0.05)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}/"
        ended.set()
        served.shutdown()
        thread.join()


def test_slow_server_is_waited_for(server):
    found = find_files("set", {"a.gz": CHECKSUM}, [server])
    assert found["a.gz"].read_bytes() == CONTENT


def test_server_that_stalls_is_left_for_the_next(server, tmp_path):
    found = find_files("set", {"a.gz": CHECKSUM}, [f"{server}stalled/", server])
    assert found["a.gz"].read_bytes() == CONTENT
    assert list((tmp_path / "cache" / "set").iterdir()) == [found["a.gz"]]


def test_only_server_that_stalls_is_named(server, tmp_path):
    with pytest.raises(UserError, match=r"cannot download .*stalled/a\.gz"):
        find_files("set", {"a.gz": CHECKSUM}, [f"{server}stalled/"])
    assert not list((tmp_path / "cache" / "set").iterdir())

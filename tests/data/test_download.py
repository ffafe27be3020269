import errno
import functools
import hashlib
import http.server
import threading

import pytest

from capsnet.data import load_data
from capsnet.data.download import find_files
from capsnet.errors import UserError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("CAPSNET_DATA_DIR", raising=False)
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(tmp_path):
    """A server on this machine, with one file."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.gz").write_bytes(b"content")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_GET(self):
            if self.path == "/cut/a.gz":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"content")
            elif self.path == "/busy/a.gz":
                self.send_error(503)
            else:
                super().do_GET()

    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def md5(data):
    return f"md5:{hashlib.md5(data).hexdigest()}"


def test_file_is_downloaded_once_into_the_cache(cache, mirror):
    for mirrors in ([mirror], ["http://127.0.0.1:9/"]):
        found = find_files("set", {"a.gz": md5(b"content")}, mirrors)
        assert found == {"a.gz": cache / "set" / "a.gz"}
        assert found["a.gz"].read_bytes() == b"content"


def test_second_mirror_is_tried(cache, mirror):
    find_files("set", {"a.gz": md5(b"content")}, ["http://127.0.0.1:9/", mirror])
    assert (cache / "set" / "a.gz").exists()


def test_wrong_checksum_is_refused_and_leaves_nothing(cache, mirror):
    with pytest.raises(UserError, match="its checksum is wrong"):
        find_files("set", {"a.gz": md5(b"other")}, [mirror])
    assert not (cache / "set" / "a.gz").exists()


def test_without_network_the_message_says_where_to_put_the_files(cache):
    with pytest.raises(UserError, match="by hand into") as fault:
        find_files("set", {"a.gz": md5(b""), "b.gz": md5(b"")}, ["http://127.0.0.1:9/"])
    assert str(cache / "set") in str(fault.value)
    assert "a.gz, b.gz" in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("cut/", "the connection broke off"),
        ("busy/", "the server answers with status 503"),
        ("none/", "the server answers with status 404"),
    ],
)
def test_server_that_fails_is_named_with_the_reason(cache, mirror, path, reason):
    with pytest.raises(UserError, match=rf"cannot download {mirror}{path}a\.gz \(({reason})") as fault:
        find_files("set", {"a.gz": md5(b"content")}, [mirror + path])
    assert "data_dir" in str(fault.value)
    assert "\n" not in str(fault.value)
    assert not list((cache / "set").iterdir())


def test_each_mirrors_reason_is_named(cache, mirror):
    with pytest.raises(UserError, match=r"\(no connection; of other mirrors: its checksum is wrong\)"):
        find_files("set", {"a.gz": md5(b"other")}, [mirror, "http://127.0.0.1:9/"])


def test_cache_that_cannot_be_written_is_named_with_the_remedy(cache, mirror):
    # root may write into every folder, but into no file
    cache.write_bytes(b"")
    with pytest.raises(UserError, match=r"set/a\.gz cannot be written \(.*; set CAPSNET_CACHE_DIR") as fault:
        find_files("set", {"a.gz": md5(b"content")}, [mirror])
    assert "\n" not in str(fault.value)


def test_read_only_cache_is_named_with_the_remedy(cache, mirror, monkeypatch):
    def refuse(*words, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot be written \(Read-only file system\); set CAPSNET_CACHE_DIR"):
        find_files("set", {"a.gz": md5(b"content")}, [mirror])


def test_a_test_that_would_download_fails_and_names_the_file(cache):
    with pytest.raises(pytest.fail.Exception, match=r"download kmnist/train-images-idx3-ubyte\.gz: mark it real_data"):
        load_data("kmnist")

"""The page's server, asked without a browser."""

import errno
import http.client
import json
import os
import socket
import struct
import sys
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from capsnet.cli import main
from capsnet.demo.look import MAX_BYTES
from capsnet.demo.page import _quiet


def ask(page, method, path, body=None, host=None, **headers):
    """Returns status, headers and body."""
    server = page.address.split("/")[2]
    connection = http.client.HTTPConnection(server, timeout=20)
    connection.request(method, path, body, headers={"Host": host or server, **headers})
    reply = connection.getresponse()
    answer = reply.status, reply.headers, reply.read()
    connection.close()
    return answer


def ask_json(page, path, body):
    status, _, content = ask(page, "POST", path, body)
    return status, json.loads(content)


@pytest.fixture
def photo():
    image, data = Image.new("L", (300, 200), 255), BytesIO()
    ImageDraw.Draw(image).line([(150, 40), (150, 160)], fill=0, width=16)
    image.save(data, "PNG")
    return data.getvalue()


def request_of(model='"tiny"', label="0", pose="[1]"):
    return f'{{"model": {model}, "label": {label}, "pose": {pose}}}'.encode()


def bomb(side):
    """A PNG that says it has side x side pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_an_image_is_looked_at_and_redrawn(page, photo):
    status, found = ask_json(page, "/look?model=tiny", photo)
    assert status == 200
    assert len(found["lengths"]) == 10
    assert found["milliseconds"] > 0
    label = found["found"][0]
    request = {"model": "tiny", "label": label, "pose": found["poses"][label]}
    status, drawn = ask_json(page, "/redraw", json.dumps(request))
    assert status == 200
    assert drawn["pixels"] == found["drawn"]["pixels"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/look?model=other", b"", 400, "unknown network"),
        ("/look?model=tiny&name=a.txt", b"text", 400, "a.txt is not an image"),
        ("/look?model=tiny&name=bomb.png", bomb(60_000), 400, "too many pixels|too many"),
        ("/look?model=tiny&name=b.png", bytes(MAX_BYTES + 1), 413, "b.png is larger than 10 MB"),
        ("/redraw", b"{", 400, "must be JSON"),
        ("/redraw", b'{"model": "tiny", "label": 0, "pose": [1]}', 400, "16 finite numbers, got 1"),
        ("/redraw", request_of(label=10), 400, "class must be 0 to 9, got 10"),
        ("/redraw", request_of(pose="[" + "1e300," * 15 + "0]"), 400, "got 1e+300 among them"),
        ("/redraw", request_of(pose="[" + "NaN," * 15 + "0]"), 400, "got nan among them"),
        ("/redraw", request_of(pose="[" + "1e999," * 15 + "0]"), 400, "got inf among them"),
        ("/redraw", request_of(model='"' + 1000 * "x" + '"'), 400, "unknown network"),
        ("/redraw", bytes(1_000_001), 413, "larger than 1 MB"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(page, path, body, status, said):
    got, answer = ask_json(page, path, body)
    assert got == status
    assert any(part in answer["error"] for part in said.split("|"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe{",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        request_of(label="Infinity"),
        request_of(label="1e400"),
        request_of(label="0.5"),
        request_of(label="true"),
        request_of(label='"0"'),
        request_of(label="[0]"),
        request_of(label="9" * 5000),
        request_of(pose="[" + f"1{400 * '0'}," * 15 + "0]"),
        request_of(pose='["1"]'),
        request_of(pose="[null]"),
        request_of(pose="[[1]]"),
        request_of(pose="7"),
        request_of(pose='{"0": 1}'),
        request_of(model="{}"),
        request_of(model="null"),
    ],
)
def test_request_of_another_form_is_answered_by_400(page, body):
    status, answer = ask_json(page, "/redraw", body)
    assert status == 400
    assert answer["error"].startswith("the request must be JSON with model (a name), label (a whole number) and pose")


def test_request_that_breaks_off_leaves_no_traceback(page, photo):
    host, port = page.address.split("/")[2].split(":")
    for path in ("/look?model=tiny", "/redraw"):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\nabc"
            connection.sendall(head.encode())
    # answered after both
    assert ask_json(page, "/look?model=tiny", photo)[0] == 200
    assert "Traceback" not in (page.folder / "errors.txt").read_text()


@pytest.mark.parametrize("size", [(2000, 15), (15, 2000), (2000, 1), (1, 1)])
def test_narrow_image_is_answered(page, size):
    data = BytesIO()
    Image.new("L", size, 200).save(data, "PNG")
    status, answer = ask_json(page, "/look?model=tiny", data.getvalue())
    assert status == 200
    assert answer["reasons"] == ["no digit found, the image is uniform"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost@evil:1", "0"]
)
def test_request_under_the_name_of_another_machine_is_refused(page, host):
    for method, path in (("GET", "/"), ("GET", "/setup"), ("POST", "/look?model=tiny"), ("GET", "/none")):
        assert ask(page, method, path, host=host)[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://{}", "http://{}.evil", ""]
)
def test_request_that_came_from_another_site_is_refused(page, origin, photo):
    origin = origin.format(page.address.split("/")[2])
    assert ask(page, "POST", "/look?model=tiny", photo, Origin=origin)[0] == 403
    assert ask(page, "POST", "/redraw", b"{}", Origin=origin)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST", "localhost:8000"])
def test_request_of_the_page_itself_is_answered(page, host, photo):
    host = host.format(page.address.rstrip("/").rpartition(":")[2])
    assert ask(page, "POST", "/look?model=tiny", photo, host=host, Origin=f"http://{host}")[0] == 200
    assert ask(page, "GET", "/", host=host)[0] == 200


def test_only_the_page_is_served_and_only_to_this_machine(page):
    for path in ("/config", "/gradio_api/upload", "/gradio_api/info", "/docs", "/monitoring", "/page.py"):
        assert ask(page, "GET", path)[0] == 404
    status, headers, content = ask(page, "GET", "/")
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert b"http" not in content


def test_nothing_is_written_outside_the_temporary_folder(page, photo):
    ask_json(page, "/look?model=tiny", photo)
    assert not list((page.folder / "work").iterdir())
    assert [path.name.startswith("capsnet-demo-") for path in (page.folder / "temporary").iterdir()] == [True]


def test_a_taken_port_is_named(page, tiny_run, capsys):
    port = page.address.rstrip("/").rpartition(":")[2]
    assert main(["demo", str(tiny_run.folder), "--port", port]) == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err


def test_temporary_folder_that_cannot_be_made_is_named(monkeypatch, tiny_run, capsys):
    def refuse(*words, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    assert main(["demo", str(tiny_run.folder)]) == 2
    said = capsys.readouterr().err
    assert "none can be created (No space left on device); set TMPDIR" in said
    assert said.count("\n") == 1


def test_without_gradio_the_extra_is_named(monkeypatch, tiny_run, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(tiny_run.folder)]) == 2
    assert "pip install 'capsnet[demo]'" in capsys.readouterr().err


def test_settings_of_the_environment_do_not_reach_the_server(monkeypatch):
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8080")
    with _quiet("/tmp"):
        assert os.environ["no_proxy"].split(",") == ["example.org", "127.0.0.1"]
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"]
        assert "GRADIO_SERVER_PORT" not in os.environ
    assert (os.environ["no_proxy"], os.environ["GRADIO_SERVER_PORT"]) == ("example.org", "8080")

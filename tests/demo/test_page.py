"""The page's server, asked without a browser."""

import http.client
import json
import struct
import sys
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from capsnet.cli import main
from capsnet.demo.look import MAX_BYTES


def ask(page, method, path, body=None, host=None):
    """Returns status, headers and body."""
    server = page.address.split("/")[2]
    connection = http.client.HTTPConnection(server, timeout=20)
    connection.request(method, path, body, headers={"Host": host or server})
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
        ("/look?model=tiny&name=a.txt", b"text", 400, "a.txt: is not an image"),
        ("/look?model=tiny&name=bomb.png", bomb(60_000), 400, "too many pixels|too many"),
        ("/look?model=tiny&name=b.png", bytes(MAX_BYTES + 1), 413, "b.png is larger than 10 MB"),
        ("/redraw", b"{", 400, "must be JSON"),
        ("/redraw", b'{"model": "tiny", "label": 0, "pose": [1]}', 400, "16 numbers"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(page, path, body, status, said):
    got, answer = ask_json(page, path, body)
    assert got == status
    assert any(part in answer["error"] for part in said.split("|"))


def test_only_the_page_is_served_and_only_to_this_machine(page):
    for path in ("/config", "/gradio_api/upload", "/gradio_api/info", "/docs", "/monitoring", "/page.py"):
        assert ask(page, "GET", path)[0] == 404
    assert ask(page, "GET", "/", host="evil.example:80")[0] == 404
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


def test_without_gradio_the_extra_is_named(monkeypatch, tiny_run, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(tiny_run.folder)]) == 2
    assert "pip install 'capsnet[demo]'" in capsys.readouterr().err

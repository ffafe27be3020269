"""The page's server: Gradio in server mode, on the loopback interface, without external resources."""

import asyncio
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from capsnet.demo.gallery import Gallery
from capsnet.demo.look import MAX_BYTES, look, read_image, redraw
from capsnet.errors import UserError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

HOST = "127.0.0.1"
_MOST_REQUEST = 1_000_000
# names of this machine; a forwarded port may differ
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
_FILES = {"/": "page.html", "/page.css": "page.css", "/favicon.svg": "favicon.svg"}
_FILES |= {"/engine.js": "engine_server.js", "/page.js": "page.js"}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# the last one is Gradio's own, which it calls once
_PATHS = {*_FILES, "/setup", "/look", "/redraw", "/gradio_api/startup-events"}
_HEADERS = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}


@contextmanager
def serving(gallery: Gallery, *, port: int = 0) -> Iterator[str]:
    """Serve the page to this machine; temporary files are removed at the end.

    Args:
        gallery: the networks on the page.
        port: 0: the first free port from 7860.

    Yields:
        The page's address.

    Raises:
        UserError: Gradio is not installed, the port is taken, or no temporary folder can be created.
    """
    if port:
        _check_free(port)
    with _temporary_folder() as folder, _quiet(folder):
        try:
            from gradio import Server
        except ImportError:
            raise UserError("capsnet demo needs an extra: pip install 'capsnet[demo]'") from None
        answers = Answers(gallery)
        server = Server(title="capsnet", openapi_url=None, docs_url=None, redoc_url=None)
        server.add_middleware(Guard)
        for path in _FILES:
            server.add_route(path, answers.file, methods=["GET", "HEAD"])
        server.add_route("/setup", answers.setup, methods=["GET"])
        server.add_route("/look", answers.look, methods=["POST"])
        server.add_route("/redraw", answers.redraw, methods=["POST"])
        try:
            _, address, _ = server.launch(
                server_name=HOST,
                server_port=port or None,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                run_history=False,
                inline=False,
                max_file_size=MAX_BYTES,
            )
        except OSError as fault:
            if fault.strerror:
                raise UserError(f"the page's server cannot start ({fault.strerror}: {fault.filename})") from None
            # taken since it was checked, or all of them
            taken = f"port {port} cannot be used" if port else "no port from 7860 to 7959 is free"
            raise UserError(f"{taken}; choose another `port`") from None
        try:
            yield address
        finally:
            answers.close()
            server.get_blocks().close(verbose=False)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as fault:
            raise UserError(f"port {port} cannot be used ({fault.strerror}); choose another `port`") from None


@contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="capsnet-demo-")
    except OSError as fault:
        raise UserError(
            f"the page needs a temporary folder, and none can be created ({fault.strerror}); set TMPDIR to a "
            "writable folder"
        ) from None
    with folder as name:
        yield name


@contextmanager
def _quiet(folder: str) -> Iterator[None]:
    """Disable Gradio's telemetry, version check and sharing, and set its folder; then restore the environment."""
    # it requests its own address once, which no proxy can answer; where both names are set, the lower case counts
    direct = [os.environ.get("NO_PROXY"), os.environ.get("no_proxy"), HOST]
    settings = dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, dict.fromkeys(direct))))
    settings |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SHARE": "False",
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_EXAMPLES_CACHE": folder,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }
    # the port is an argument
    ports = ("GRADIO_SERVER_PORT", "GRADIO_NUM_PORTS")
    before = {name: os.environ.get(name) for name in (*settings, *ports, "GRADIO_SERVER_MODE_ENABLED")}
    os.environ.update(settings)
    for name in ports:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Guard:
    """Accepts only requests for the page's paths, from the page itself on this machine, and adds strict headers.

    A page of another site could send requests by DNS rebinding (the header Host is then its name), or by a form or
    script (the header Origin is then that site): both are refused.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS.items()]
            await send(message)

        own = scope["type"] == "http" and _is_own(scope["headers"])
        if own and scope["path"] in _PATHS:
            await self.app(scope, receive, send_strictly)
            return
        from starlette.responses import PlainTextResponse

        text, status = ("not found", 404) if own else ("this page answers to this computer only", 403)
        await PlainTextResponse(text, status_code=status)(scope, receive, send)


def _is_own(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request was sent to a name of this machine, by a page from this machine."""
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
    origins = {value.decode("latin-1").lower() for name, value in headers if name == b"origin"}
    if len(hosts) != 1 or _LOOPBACK.fullmatch(hosts[0]) is None:
        return False
    return origins <= {f"http://{hosts[0]}"}


class Answers:
    """The request handlers. One worker thread computes, so that the server stays responsive."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="capsnet-demo")

    def close(self) -> None:
        """End the thread."""
        self._worker.shutdown()

    async def file(self, request: "Request") -> "Response":
        """A file of the page."""
        from starlette.responses import Response

        name = _FILES[request.url.path]
        content = files("capsnet.demo").joinpath(name).read_bytes()
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]])

    async def setup(self, request: "Request") -> "Response":
        """The page's initial data."""
        return _json({"models": self.gallery.names, "max_bytes": MAX_BYTES})

    async def look(self, request: "Request") -> "Response":
        """Run the network `model` on the image in the body; `name` is the file's name."""
        data = await _read(request, MAX_BYTES)
        name = request.query_params.get("name", "")[:60] or "the image"
        if data is None:
            return _fault(f"{name} is larger than {MAX_BYTES // 1_000_000} MB; shrink it first", 413)
        model = request.query_params.get("model", "")
        return await self._compute(lambda: self._look(model, data, name))

    def _look(self, model_name: str, data: bytes, name: str) -> dict[str, object]:
        model = self.gallery.get(model_name)
        return {**look(model, read_image(data, name, pixel_range=model.inputs.pixel_range))}

    async def redraw(self, request: "Request") -> "Response":
        """Decode the capsule `label` of the network `model` with the pose `pose`."""
        data = await _read(request, _MOST_REQUEST)
        if data is None:
            return _fault("the request is larger than 1 MB", 413)
        return await self._compute(lambda: self._redraw(data))

    def _redraw(self, data: bytes) -> dict[str, object]:
        name, label, pose = parse_redraw(data)
        return {**redraw(self.gallery.get(name), label, pose)}

    async def _compute(self, task: Callable[[], dict[str, object]]) -> "Response":
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, partial(_timed, task))
        except UserError as fault:
            return _fault(str(fault), 400)


def parse_redraw(data: bytes) -> tuple[str, int, list[float]]:
    """Model, label and pose of a request.

    Raises:
        UserError: not JSON, or of another form.
    """
    try:
        request = json.loads(data)
        model, label, pose = request["model"], request["label"], request["pose"]
        # bool is an int, too
        if not isinstance(model, str) or type(label) is not int or not isinstance(pose, list):
            raise TypeError
        if any(type(value) not in (int, float) for value in pose):
            raise TypeError
        return model, label, [float(value) for value in pose]
    # deep nesting, or an integer above any float
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise UserError(
            "the request must be JSON with model (a name), label (a whole number) and pose (a list of numbers)"
        ) from None


def _timed(task: Callable[[], dict[str, object]]) -> "Response":
    start = time.perf_counter()
    return _json({**task(), "milliseconds": round(1000 * (time.perf_counter() - start), 1)})


async def _read(request: "Request", most: int) -> bytes | None:
    """The body of a request; None if it is too large. It is read to its end, as browsers wait for that."""
    from starlette.requests import ClientDisconnect

    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                chunks.append(chunk)
            elif size > 20 * MAX_BYTES:
                break
    except ClientDisconnect:
        # the client has disconnected
        return b""
    return None if size > most else b"".join(chunks)


def _json(content: dict[str, object], status: int = 200) -> "Response":
    from starlette.responses import JSONResponse

    return JSONResponse(content, status_code=status)


def _fault(text: str, status: int) -> "Response":
    return _json({"error": text}, status)

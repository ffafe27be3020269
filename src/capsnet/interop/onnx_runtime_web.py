"""The program that runs ONNX files in a browser: onnxruntime-web, of which three files are needed."""

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

from capsnet.data.download import find_files
from capsnet.errors import UserError

VERSION = "1.22.0"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
_FOLDER = "onnxruntime-web"
_CHECKSUM = "e293551f9d36d003e293d0f2937fee7b3dfdcef76d71d1449b55e2d4157c7aea"
_MIRROR = "https://registry.npmjs.org/onnxruntime-web/-/"
# the build for a processor's vector instructions alone: those for graphics cards are twice as large
_MEMBERS = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


@dataclass(frozen=True)
class WebRuntime:
    """The parts of onnxruntime-web.

    Args:
        interface: JavaScript that defines `ort`.
        glue: JavaScript that loads the program.
        program: WebAssembly.
    """

    interface: str
    glue: str
    program: bytes


def load_web_runtime() -> WebRuntime:
    """Find onnxruntime-web in `$CAPSNET_DATA_DIR` or the cache, or download its npm package to the cache.

    Raises:
        UserError: it cannot be downloaded, or the file is another one; the message names the file and its place.
    """
    path = find_files(_FOLDER, {ARCHIVE: f"sha256:{_CHECKSUM}"}, [_MIRROR])[ARCHIVE]
    if _hash(path) != _CHECKSUM:
        raise UserError(f"{path}: is not the file of onnxruntime-web {VERSION} (its SHA-256 differs); remove it")
    with tarfile.open(path) as archive:
        parts = [_read(archive, f"package/dist/{name}") for name in _MEMBERS]
    return WebRuntime(parts[0].decode(), parts[1].decode(), parts[2])


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, name
    return member.read()

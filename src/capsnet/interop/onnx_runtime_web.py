"""onnxruntime-web, which runs ONNX files in a browser; three of its files are needed."""

import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from capsnet.cache import cache_dir
from capsnet.data.download import find_stored
from capsnet.errors import UserError

VERSION = "1.22.0"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
_FOLDER = "onnxruntime-web"
_CHECKSUM = "e293551f9d36d003e293d0f2937fee7b3dfdcef76d71d1449b55e2d4157c7aea"
# the build for the CPU only: those with GPU support are twice as large
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
    """Find onnxruntime-web in `$CAPSNET_DATA_DIR` or the cache, or download it into the cache with npm.

    Raises:
        UserError: npm is missing or fails, or the file has another checksum; the message names file and folder.
    """
    stored = find_stored(_FOLDER, [ARCHIVE])
    path = stored[ARCHIVE] if stored is not None else _fetch(cache_dir() / _FOLDER)
    if _hash(path) != _CHECKSUM:
        raise UserError(f"{path} is not the file of onnxruntime-web {VERSION} (its SHA-256 differs); remove it")
    with tarfile.open(path) as archive:
        parts = [_read(archive, f"package/dist/{name}") for name in _MEMBERS]
    return WebRuntime(parts[0].decode(), parts[1].decode(), parts[2])


def _fetch(folder: Path) -> Path:
    """Download the package with npm."""
    npm = shutil.which("npm")
    remedy = f"run npm pack onnxruntime-web@{VERSION} on a machine that has it, and put {ARCHIVE} into {folder}"
    if npm is None:
        raise UserError(f"onnxruntime-web {VERSION} is needed, and npm, which fetches it, is not installed; {remedy}")
    folder.mkdir(parents=True, exist_ok=True)
    words = [npm, "pack", f"onnxruntime-web@{VERSION}", "--pack-destination", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0 or not (folder / ARCHIVE).is_file():
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"npm cannot fetch onnxruntime-web {VERSION} ({reason}); {remedy}")
    return folder / ARCHIVE


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, name
    return member.read()

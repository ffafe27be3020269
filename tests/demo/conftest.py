"""The page, served by the command that a person types."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from capsnet.runs.weights import ModelSpec, save_weights

if TYPE_CHECKING:
    from playwright.sync_api import Browser


class Served(NamedTuple):
    """The page's address, where its process works and writes, and the process."""

    address: str
    folder: Path
    process: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[Browser]":
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page of two networks with fresh weights; the second has a routing without places."""
    if find_spec("gradio") is None:
        pytest.skip("needs the extra: pip install 'capsnet[demo]'")
    folder = tmp_path_factory.mktemp("demo")
    for name, model in (("tiny", "capsnet-tiny"), ("efficient", "efficient-capsnet")):
        spec = ModelSpec(model, {}, tuple("0123456789"), "digit", "digits")
        save_weights(folder / f"{name}.safetensors", spec.build(), spec)
    (folder / "work").mkdir()
    (folder / "temporary").mkdir()
    command = [
        sys.executable,
        "-m",
        "capsnet",
        "demo",
        folder / "tiny.safetensors",
        folder / "efficient.safetensors",
        "--no-browser",
    ]
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            [*command, "--port", str(_free_port())],
            cwd=folder / "work",
            env={**os.environ, "TMPDIR": str(folder / "temporary")},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("http://127.0.0.1:"), said
    yield Served(said.split()[0], folder, process)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    process.stdout.close()
    assert not list((folder / "temporary").iterdir())
    assert "Traceback" not in (folder / "errors.txt").read_text()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is; it is never downloaded."""
    if find_spec("playwright") is None:
        pytest.skip("needs playwright, which is among the development dependencies")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    pytest.skip("needs Chromium from the system's packages")

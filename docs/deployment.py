"""What exported networks weigh, cost and take: `python docs/deployment.py` measures, docs/deployment.json keeps it.

It needs the packages of the extra `onnx`, MNIST in $CAPSNET_DATA_DIR or the cache, and for the page in the browser
Playwright, Chromium and the file of onnxruntime-web.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from capsnet._version import __version__
from capsnet.cli import main as run_command
from capsnet.data import load_data
from capsnet.runs.pretrained import list_pretrained

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "deployment.json"
_REPEATS = 7
_PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")


def main() -> None:
    """Measure everything and write it down."""
    data = load_data("mnist").test
    images, labels = data.images.numpy(), data.labels.numpy()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        Image.fromarray(255 - images[0, 0]).resize((280, 280)).save(place / "digit.png")
        networks = {name: _measure(name, place, images, labels) for name in list_pretrained()}
        measured = {
            "command": "python docs/deployment.py",
            "test_images": len(labels),
            "repeats": _REPEATS,
            "networks": networks,
            "wheel_megabytes": _wheel(place),
            "capsnet": __version__,
            "commit": _output("git", "rev-parse", "--short", "HEAD"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "packages": {name: version(name) for name in _PACKAGES},
        }
    FILE.write_text(json.dumps(measured, indent=2) + "\n")


def _measure(name: str, place: Path, images: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    files = {"float32": place / f"{name}.onnx", "int8": place / f"{name}-int8.onnx"}
    _run("export", name, str(files["float32"]))
    _run("export", name, str(files["int8"]), "--int8")
    _run("export", name, str(place / name), "--format", "web")
    times = {"onnx": str(files["float32"]), "torch": name}
    return {
        "megabytes": {kind: round(path.stat().st_size / 1e6, 1) for kind, path in files.items()},
        "errors": {kind: _errors(path, images, labels) for kind, path in files.items()},
        "processor_seconds": {kind: _cost(model, place / "digit.png") for kind, model in times.items()},
        "page_megabytes": round(sum(path.stat().st_size for path in (place / name).iterdir()) / 1e6, 1),
        "page_milliseconds": _answer_in_browser(place / name / "index.html"),
    }


def _run(*words: str) -> None:
    if run_command(words) != 0:
        raise SystemExit(1)


def _errors(path: Path, images: np.ndarray, labels: np.ndarray) -> int:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wrong = 0
    for start in range(0, len(labels), 500):
        [lengths] = session.run(["lengths"], {"image": images[start : start + 500]})
        wrong += int((lengths.argmax(axis=1) != labels[start : start + 500]).sum())
    return wrong


def _cost(model: str, image: Path) -> float:
    """Processor time of `capsnet predict`, from start to end: the least of several runs."""
    costs = []
    for _ in range(_REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "capsnet", "predict", model, str(image)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(min(costs), 2)


def _answer_in_browser(page: Path) -> float | None:
    """Time of an answer on the page, the least of several, in milliseconds; None without a browser."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        tab.wait_for_selector("body[data-answers]", timeout=120_000)
        times = [
            tab.evaluate("engine.look({ canvas: drawing() }).then((answer) => answer.milliseconds)")
            for _ in range(10 * _REPEATS)
        ]
        browser.close()
    return round(min(times), 1)


def _wheel(place: Path) -> float:
    # a folder of its own: the build leaves files beside the sources
    source = place / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place / "wheels")]
    subprocess.run([*command, str(source)], check=True)
    [wheel] = (place / "wheels").glob("capsnet-*.whl")
    return round(wheel.stat().st_size / 1e6, 1)


def _output(*words: str) -> str:
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def table() -> str:
    """The table of docs/deploy.md."""
    measured = json.loads(FILE.read_text())
    count, networks = measured["test_images"], measured["networks"]
    rows: list[tuple[str, Callable[[dict[str, dict[str, float]]], str]]] = [
        ("ONNX file", lambda row: f"{row['megabytes']['float32']:.1f} MB"),
        ("with `--int8`", lambda row: f"{row['megabytes']['int8']:.1f} MB"),
        ("test error", lambda row: f"{100 * row['errors']['float32'] / count:.2f} %"),
        ("test error with `--int8`", lambda row: f"{100 * row['errors']['int8'] / count:.2f} %"),
        ("`capsnet predict`, ONNX", lambda row: f"{row['processor_seconds']['onnx']:.2f} s"),
        ("`capsnet predict`, PyTorch", lambda row: f"{row['processor_seconds']['torch']:.2f} s"),
        ("static page", lambda row: f"{row['page_megabytes']:.1f} MB"),
        ("answer in the browser", _browser),
    ]
    lines = ["| | " + " | ".join(f"`{name}`" for name in networks) + " |", "|:--" + "|--:" * len(networks) + "|"]
    lines += ["| " + " | ".join([label, *map(cell, networks.values())]) + " |" for label, cell in rows]
    packages = ", ".join(f"{name} {number}" for name, number in measured["packages"].items())
    return "\n".join([*lines, "", *_caption(measured, packages)])


def _browser(row: dict[str, dict[str, float]]) -> str:
    milliseconds = row["page_milliseconds"]
    return "not measured" if milliseconds is None else f"{milliseconds:.0f} ms"


def _caption(measured: dict[str, object], packages: str) -> Iterator[str]:
    yield (
        f"Test errors are those of MNIST's {measured['test_images']:,} test images, with one set of weights each. "
        "Times of `capsnet predict` are processor times of the whole command for one image file with one thread, the "
        f"least of {measured['repeats']}; the time of an answer in the browser is the least of "
        f"{10 * int(str(measured['repeats']))}, by WebAssembly on one thread of headless Chromium. The wheel of the "
        f"package, with both networks, is {measured['wheel_megabytes']} MB. Measured by `{measured['command']}` on "
        f"{measured['machine']}, Python {measured['python']}, {packages}, capsnet {measured['capsnet']} at commit "
        f"{measured['commit']}."
    )


if __name__ == "__main__":
    main()

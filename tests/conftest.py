"""What several test files share."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from tests.data.sounds import write_tone
from tests.data.test_mask_folder import write as write_mask

from capsnet.data import download
from capsnet.models import MODELS
from capsnet.runs import Run, RunConfig
from capsnet.training import train

TINY = RunConfig.from_defaults(
    data="digits", model="capsnet-tiny", epochs=2, batch_size=32, limit=192, lr=3e-3, lr_decay=1.0, shift=1, seed=1
)

TINY_MASKS = {"model": "unet-small", "model_options": {"channels": 2, "levels": 2}, "image_size": 8, "batch_size": 4}


# whole trainings: the tensors of what they call are checked by the tests of layers, models, data and steps
TRAINED = (
    "tests/docs/",
    "tests/examples/",
    "tests/recipes/",
    "tests/studies/",
    "tests/bench/",
    "tests/test_readme.py",
    "tests/training/test_loop.py",
    "tests/training/test_callback.py",
    "tests/training/test_tensorboard.py",
    "tests/training/test_objects.py",
    "tests/training/test_stored_runs.py",
    "tests/cli/test_data.py",
    "tests/cli/test_cli.py",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Leave out the checks of annotations where they would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", item.nodeid.startswith(TRAINED))
    try:
        return (yield)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True, scope="session")
def _signals() -> None:
    """The signals of a terminal act as in one, also where the tests were started in the background or by nohup."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the cache of the person who runs it."""
    os.environ["CAPSNET_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _real_data() -> str | None:
    """$CAPSNET_DATA_DIR, which only tests that ask for `data_dir` are given: the others find no real data."""
    return os.environ.pop("CAPSNET_DATA_DIR", None)


@pytest.fixture(autouse=True, scope="session")
def _no_download() -> Iterator[None]:
    """A test that would download fails, and names the file; a server on this machine is allowed."""
    whole = download._download

    def refuse(name: str, file: str, checksum: str, mirrors: Sequence[str], checksums: Mapping[str, str]) -> Path:
        if not all(mirror.startswith("http://127.0.0.1:") for mirror in mirrors):
            pytest.fail(f"this test would download {name}/{file}: mark it real_data and use the fixture data_dir")
        return whole(name, file, checksum, mirrors, checksums)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "_download", refuse)
        yield


@pytest.fixture(scope="session")
def shared_folder(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], None]], Path]:
    """Gives the folder of a name, which a function fills once; workers that run side by side share it."""
    base = tmp_path_factory.getbasetemp()
    root = base if worker_id == "master" else base.parent

    def give(name: str, write: Callable[[Path], None]) -> Path:
        folder, whole = root / name, root / f"{name}.whole"
        with FileLock(root / f"{name}.lock"):
            if not whole.is_file():
                # what a failure left
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write(folder)
                whole.touch()
        return folder

    return give


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without checks of annotations, which are there in tests only: a bad value reaches the code's own check."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def small_cnns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The baselines by their names, with few channels."""
    small = {"channels": (4, 2), "kernel_sizes": (5, 5), "hidden": (8,)}
    for name in ("baseline-cnn-quarter", "baseline-cnn-multimnist"):
        preset = MODELS.get(name)
        monkeypatch.setitem(MODELS._values, name, replace(preset, options={**preset.options, **small}))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the small model on a few embedded digits."""
    return train(TINY, out=tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour photos of mixed sizes in three class folders: one colour dominates in each class."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for label, name in enumerate(("blue sky", "grass", "rose")):
        (folder / name).mkdir()
        for number in range(15):
            height, width = random.integers(24, 60, size=2)
            pixels = random.integers(0, 120, size=(height, width, 3))
            pixels[..., 2 - label] += 130
            suffix = "jpg" if number % 2 else "png"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.{suffix}")
    return folder


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright squares on black with masks: class 1 on the left, class 2 on the right."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(20):
        mask = np.zeros((8, 8))
        mask[number % 4 : number % 4 + 3, 1:3] = 1
        mask[number % 5 : number % 5 + 3, 5:7] = 2
        write_mask(folder, f"{number:02}", mask, image=255 * (mask > 0))
    (folder / "classes.txt").write_text("left\nright\n")
    return folder


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WAV files of high and low tones in class folders."""
    folder = tmp_path_factory.mktemp("sounds")
    for name, hertz in (("high", 2000), ("low", 300)):
        for number in range(8):
            write_tone(folder / name / f"{number}.wav", hertz, samples=1000 + 100 * number)
    return folder


@pytest.fixture(scope="session")
def masks_run(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a small segmentation model."""
    return train(data=scans, out=tmp_path_factory.mktemp("runs") / "masks", epochs=4, lr=0.02, **TINY_MASKS)


@pytest.fixture(scope="session")
def sounds_run(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the capsule network for sequences."""
    return train(data=sounds, out=tmp_path_factory.mktemp("runs") / "sounds", steps=12, batch_size=8)


@pytest.fixture(scope="session")
def data_dir(_real_data: str | None) -> Path:
    """Folder of real data sets; a test that needs one is marked real_data, and skips where there is none."""
    if not _real_data or not (Path(_real_data) / "mnist").is_dir():
        pytest.skip("needs real MNIST: set CAPSNET_DATA_DIR to a folder that holds mnist/")
    return Path(_real_data)


# the longest first: as the last one, such a test would keep one worker busy while the other waits
LONG = [f"test_{name}.py" for name in ("distributed", "onnx", "triton", "compile", "threads", "sklearn")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first. A test of real data that is not marked would be left out of `make test-real-data`."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()) and item.get_closest_marker("real_data") is None:
            raise pytest.UsageError(f"{item.nodeid} uses data_dir: mark it real_data")

"""What a hostile or damaged file can do: be refused in a line, and nothing else."""

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.faults.readers import READERS

from capsnet.errors import UserError

ROOT = Path(__file__).parents[2]
looked_up: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _hear_pickles():
    """Write down whatever a pickle looks up; an audit hook stays until the process ends."""
    listening = [True]

    def hear(event, values):
        if listening[0] and event == "pickle.find_class":
            looked_up.append(".".join(map(str, values)))

    sys.addaudithook(hear)
    yield
    listening[0] = False


class Bomb:
    """An object whose pickle runs code when it is read."""

    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('/tmp/capsnet-bomb').touch()",)


def object_arrays():
    content = io.BytesIO()
    np.savez(content, images=np.array([Bomb()] * 4, object), labels=np.arange(4))
    return content.getvalue()


def keras_lambda():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        function = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None}}
        file.writestr("config.json", json.dumps({"class_name": "Lambda", "config": {"function": function}}))
        file.writestr("model.weights.h5", pickle.dumps(Bomb()))
    return content.getvalue()


def torch_file():
    import torch

    content = io.BytesIO()
    torch.save({"state_dict": Bomb()}, content)
    return content.getvalue()


BOMBS = {
    "pickle": lambda: pickle.dumps(Bomb()),
    "old pickle": lambda: pickle.dumps(Bomb(), 0),
    "object arrays": object_arrays,
    "Keras Lambda": keras_lambda,
    "torch.save": torch_file,
}


def test_bombs_go_off_where_pickles_are_read():
    looked_up.clear()
    with pytest.raises(AttributeError):
        pickle.loads(b"cbuiltins\nno_such_name\n.")
    assert looked_up == ["builtins.no_such_name"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_reader_runs_a_pickle(bomb, tmp_path):
    data = BOMBS[bomb]()
    for reader in READERS:
        looked_up.clear()
        with pytest.raises(UserError):
            reader.call(data, tmp_path)
        assert looked_up == [], reader.name


def test_no_module_of_the_library_can_read_pickles():
    words = ("pickle", "torch.load(", "joblib", "marshal", "shelve", "yaml.load")
    known = {
        # what is refused, or pickled by scikit-learn's own users
        "data/array_files.py": ["pickle"],
        "data/shards.py": ["pickle"],
        "inference/predictions.py": ["pickle"],
        "interop/sklearn.py": ["pickle"],
        "training/features.py": ["pickle"],
    }
    for path in (ROOT / "src" / "capsnet").rglob("*.py"):
        used = [word for word in words if word in path.read_text()]
        assert used == known.get(str(path.relative_to(ROOT / "src" / "capsnet")), []), path


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_valid_samples_are_read(reader, tmp_path):
    for sample in reader.samples():
        reader.call(sample, tmp_path)


changes = st.lists(
    st.tuples(st.sampled_from(("flip", "cut", "insert", "copy", "set")), st.floats(0, 1), st.binary(max_size=8)),
    min_size=1,
    max_size=4,
)


def change(data, steps):
    """A file with bytes flipped, cut off, inserted, copied or set."""
    for kind, place, content in steps:
        position = int(place * len(data))
        if kind == "cut":
            data = data[:position]
        elif kind == "insert":
            data = data[:position] + content + data[position:]
        elif kind == "copy":
            data = data + data[position : position + 64]
        elif kind == "set":
            data = data[:position] + content + data[position + len(content) :]
        elif data:
            position = min(position, len(data) - 1)
            data = data[:position] + bytes([data[position] ^ 1 << len(content) % 8]) + data[position + 1 :]
    return data


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_file_is_read_or_refused(reader, tmp_path):
    samples = list(reader.samples())

    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(samples) - 1), changes)
    def call(number, steps):
        try:
            reader.call(change(samples[number], steps), tmp_path)
        except UserError as fault:
            message = str(fault)
            if "\n" in message:
                raise AssertionError(f"more than a line: {message!r}") from None

    call()


def lzma_arrays():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("images.npy", b"\0" * 100)
    return content.getvalue()


def damaged_zip(data):
    """Flip a bit within the packed numbers of a `.keras` file."""
    place = data.index(b"model.weights.h5") + 40
    return data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("pixels (CSV)", lambda samples: b"label,a,b,c,d\n1,2\n", "its rows have 2 columns, its first line has 5"),
        ("arrays (npz)", lambda samples: lzma_arrays(), "is not compressed by deflate"),
        ("Keras (HDF5, zip)", lambda samples: damaged_zip(samples[-1]), "cannot be read as a Keras file"),
        (
            "ONNX",
            lambda samples: samples[0].replace(b"digits", b"\xff\xfe\xfd\xfc\xfb\xfa"),
            "is not a valid ONNX file",
        ),
    ],
)
def test_what_fuzzing_brought_to_light_is_refused(name, damage, words, tmp_path):
    reader = next(reader for reader in READERS if reader.name == name)
    with pytest.raises(UserError, match=words):
        reader.call(damage(list(reader.samples())), tmp_path)

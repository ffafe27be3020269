"""Every reader of a user's file, with small valid files of its format to begin with."""

import csv
import gzip
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat, wavfile
from tests.official import affnist_bytes, cifar_bytes, idx_bytes, norb_bytes, pixels

from capsnet.data import affnist, cifar10, smallnorb, svhn
from capsnet.data.array_files import load_arrays
from capsnet.data.idx import read_idx
from capsnet.data.images import open_image, probe_image
from capsnet.data.mask_folder import count_values, open_mask
from capsnet.data.spectrogram import LogMel
from capsnet.data.tars import read_tar
from capsnet.data.time_series import read_ts
from capsnet.demo.look import read_image
from capsnet.demo.page import parse_redraw
from capsnet.interop.exported import Exported
from capsnet.interop.hdf5 import read_keras_file
from capsnet.interop.onnx_answers import OnnxModel
from capsnet.models import create_model
from capsnet.runs import Run, RunConfig
from capsnet.runs.imported import read_imported
from capsnet.runs.metrics import read_metrics
from capsnet.runs.weights import ModelSpec, load_weights, save_weights


@dataclass(frozen=True)
class Reader:
    """A reader of one kind of file.

    Args:
        name: of the format.
        file: name that a file of it has.
        read: reads a file; it may raise `UserError`, and nothing else.
        samples: contents of valid files.
        most: megabytes by which the memory of the process may rise, whatever a file of 64 KB holds.
    """

    name: str
    file: str
    read: Callable[[Path], object]
    samples: Callable[[], Sequence[bytes]] = field(repr=False)
    most: int = 256

    def call(self, data: bytes, folder: Path) -> object:
        """Read a file of this content."""
        path = folder / self.file
        path.write_bytes(data)
        return self.read(path)


def _saved(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


@cache
def _weights() -> bytes:
    spec = ModelSpec(
        "capsnet-tiny",
        {"image_shape": (1, 17, 17), "decoder": False, "stem_channels": 2, "num_types": 1},
        tuple("0123456789"),
        "digit",
        "digits",
    )
    return _saved(lambda path: save_weights(path, create_model(spec.model, **spec.options), spec), "a.safetensors")


def _npz() -> list[bytes]:
    arrays = {"images": pixels(6, 5, 5), "labels": np.arange(6) % 3}
    files = []
    for save in (np.savez, np.savez_compressed):
        content = io.BytesIO()
        save(content, **arrays)
        files.append(content.getvalue())
    return files


def _table() -> list[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["label", *[f"pixel{number}" for number in range(4)]])
    writer.writerows([[label % 2, 1, 2, 3, 4] for label in range(6)])
    return [text.getvalue().encode(), b"".join(text.getvalue().encode().splitlines(keepends=True)[1:])]


def _mat(**values: object) -> list[bytes]:
    return [
        _saved(lambda path, packed=packed: savemat(path, values, do_compression=packed), "a.mat")
        for packed in (True, False)
    ]


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 2):
            archive.writestr(f"test_batches/{number}.mat", affnist_bytes(pixels(2, 40, 40), np.array([number, 0])))
    return content.getvalue()


def _tar() -> list[bytes]:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for file in (*cifar10.CIFAR10.train, cifar10.CIFAR10.test):
            data = cifar_bytes(pixels(1, 3, 32, 32), np.array([1]))
            member = tarfile.TarInfo(f"{cifar10.CIFAR10.folder}/{file}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return [gzip.compress(content.getvalue(), mtime=0)]


def _read_tar(path: Path) -> object:
    cifar = cifar10.CIFAR10
    return cifar._read_parts(cifar._unpack(path, (*cifar.train, cifar.test)))


def _tar_of_images() -> list[bytes]:
    files = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=form) as archive:
            members = {"a.png": _picture_file("PNG"), "a.cls": b"1", "b.jpg": _picture_file("JPEG")}
            members |= {"b.json": b'{"label": "x"}', f"{'c/' * 60}d.png": b"", f"{'c/' * 60}d.txt": b"y"}
            for name, data in members.items():
                header = tarfile.TarInfo(name)
                header.size = len(data)
                archive.addfile(header, io.BytesIO(data))
        files.append(content.getvalue())
    return files


def _picture_file(form: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels(16, 12, 3)).save(content, form)
    return content.getvalue()


def _pictures() -> list[bytes]:
    files = [_picture_file(form) for form in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")]
    deep = io.BytesIO()
    Image.fromarray(pixels(9, 9).astype(np.uint16) * 200).save(deep, "PNG")
    floats = io.BytesIO()
    Image.fromarray(pixels(9, 9).astype(np.float32)).save(floats, "TIFF")
    return [*files, deep.getvalue(), floats.getvalue(), b"Pf\n3 2\n-1.0\n" + np.ones(6, "<f4").tobytes()]


def _picture(path: Path) -> object:
    try:
        return probe_image(path), open_image(path, color=True)
    finally:
        read_image(path.read_bytes(), path.name)


def _mask(path: Path) -> object:
    return count_values(open_mask(path))


def _masks() -> list[bytes]:
    files = []
    for mode in ("L", "P", "1"):
        content = io.BytesIO()
        mask = Image.fromarray(pixels(9, 9) % 3)
        if mode == "P":
            mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        mask.convert(mode).save(content, "PNG")
        files.append(content.getvalue())
    return files


def _recordings() -> list[bytes]:
    files = []
    for dtype, shape in (("u1", 400), ("i2", 400), ("f4", (400, 2))):
        content = io.BytesIO()
        wavfile.write(content, 11_025, np.linspace(0, 1, int(np.prod(shape))).reshape(shape).astype(dtype))
        files.append(content.getvalue())
    return files


def _keras() -> list[bytes]:
    import h5py

    def write(path: Path, whole: bool) -> None:
        with h5py.File(path, "w") as file:
            root = file.create_group("model_weights") if whole else file
            root.attrs["layer_names"] = [b"conv1"]
            group = root.create_group("conv1")
            group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
            group.create_dataset("kernel:0", data=np.ones((3, 3, 1, 2), "f4"))
            group.create_dataset("bias:0", data=np.ones(2, "f4"))
            if whole:
                file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": []}})

    weights = [_saved(lambda path, whole=whole: write(path, whole), "a.h5") for whole in (False, True)]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", json.dumps({"class_name": "Functional", "config": {}}))
        file.writestr("model.weights.h5", weights[0])
    return [*weights, archive.getvalue()]


def _onnx() -> list[bytes]:
    import onnx
    from onnx import TensorProto, helper

    make, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        make("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        make("Flatten", ["numbers"], ["flat"]),
        make("MatMul", ["flat", "weight"], ["lengths"]),
        make("Unsqueeze", ["lengths", "axis"], ["poses"]),
    ]
    held = [
        onnx.numpy_helper.from_array(np.ones((28 * 28, 2), np.float32), "weight"),
        onnx.numpy_helper.from_array(np.array([2]), "axis"),
    ]
    inputs = [value("image", TensorProto.UINT8, ["batch", 1, 28, 28])]
    shapes = {"lengths": ["batch", 2], "poses": ["batch", 2, 1]}
    outputs = [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"capsnet": _description().decode()})
    return [model.SerializeToString()]


def _description() -> bytes:
    about = {
        "format_version": 1,
        "capsnet_version": "1",
        "model": "capsnet",
        "class_names": ["a", "b"],
        "image_shape": [1, 28, 28],
        "pixels": "uint8",
        "preparation": "digit",
        "pixel_range": None,
        "pairs": False,
        "doubt": None,
        "data": "digits",
        "word": "length",
    }
    return json.dumps(about).encode()


def _evaluation() -> bytes:
    split = {
        "data": "digits",
        "split": "test",
        "n": 3,
        "accuracy": 1.0,
        "error_percent": 0.0,
        "margin_loss": 0.1,
        "reconstruction_mse": None,
        "confusion": [[1, 0], [0, 2]],
    }
    return json.dumps(
        {"test": split, "test_last": split, "best_step": 1, "step": 1, "seconds": 1.0, "images_per_second": 3.0}
    ).encode()


def _run(path: Path) -> Run:
    return Run(path.parent, RunConfig())


def _redraw() -> bytes:
    return json.dumps({"model": "tiny", "label": 3, "pose": [0.5] * 16}).encode()


_SERIES = b"""# a comment
@problemName two
@timeStamps false
@classLabel true yes no
@data
1,2,3:4,5,6:yes
1.5,-2:0,1e3:no
"""

READERS = (
    Reader("weights (safetensors)", "a.safetensors", load_weights, lambda: [_weights()]),
    Reader(
        "configuration (JSON)",
        "config.json",
        lambda path: RunConfig.from_json(path.read_bytes()),
        lambda: [RunConfig().to_json().encode()],
    ),
    Reader("result (JSON)", "evaluation.json", lambda path: _run(path).evaluation(), lambda: [_evaluation()]),
    Reader(
        "import record (JSON)",
        "imported.json",
        lambda path: read_imported(path.parent),
        lambda: [json.dumps({"file": "a", "sha256": "b", "source": "c", "command": "d", "notes": ["e"]}).encode()],
    ),
    Reader("metrics (CSV)", "metrics.csv", read_metrics, lambda: [b"step,epoch,loss\n1,0.5,2\n2,1,1.5\n"]),
    Reader("pixels (CSV)", "a.csv", load_arrays, _table),
    Reader("arrays (npz)", "a.npz", load_arrays, _npz),
    Reader("IDX", "a-idx3-ubyte", lambda path: read_idx(path, 3), lambda: [idx_bytes(pixels(2, 3, 3))]),
    Reader(
        "IDX (gzip)",
        "a-idx3-ubyte.gz",
        lambda path: read_idx(path, 3),
        lambda: [gzip.compress(idx_bytes(pixels(2, 3, 3)), mtime=0)],
    ),
    Reader(
        "smallNORB",
        "a-dat.mat",
        lambda path: smallnorb.read_norb(path, np.dtype("u1"), (None, 3, 3)),
        lambda: [norb_bytes(pixels(2, 3, 3))],
    ),
    Reader(
        "MATLAB (SVHN)",
        "a_32x32.mat",
        svhn.read_split,
        lambda: _mat(X=pixels(32, 32, 3, 2), y=np.array([[1], [10]], np.uint8)),
    ),
    Reader("MATLAB in zip (affNIST)", "test_batches.zip", affnist._read, lambda: [_zip()]),
    Reader("CIFAR (tar.gz)", "a.tar.gz", _read_tar, _tar),
    Reader("images in tar", "a.tar", read_tar, _tar_of_images),
    Reader("images", "a.png", _picture, _pictures, most=512),
    Reader("images (TGA)", "a.tga", _picture, lambda: [_picture_file("TGA")]),
    Reader("masks", "a.png", _mask, _masks),
    Reader("recordings (WAV)", "a.wav", LogMel().read, _recordings),
    Reader("time series (.ts)", "a.ts", read_ts, lambda: [_SERIES]),
    Reader("Keras (HDF5, zip)", "a.h5", read_keras_file, _keras),
    Reader("ONNX", "a.onnx", OnnxModel.open, _onnx),
    Reader(
        "ONNX metadata (JSON)",
        "a.json",
        lambda path: Exported.from_json(path.read_text("latin-1"), "a.onnx"),
        lambda: [_description()],
    ),
    Reader("request to the page (JSON)", "request", lambda path: parse_redraw(path.read_bytes()), lambda: [_redraw()]),
)

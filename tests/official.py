"""Small data sets in exactly the official formats, written into a folder as their makers' files would lie there."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
from scipy.io import savemat

NORB_STEMS = {
    "training": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "testing": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
NORB_INSTANCES = {"training": (4, 6, 7, 8, 9), "testing": (0, 1, 2, 3, 5)}
CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(root, count=20):
    """Digits are bars: of class k, k + 2 pixels wide."""
    (root / "mnist").mkdir(parents=True)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6:22, 8 : 10 + label] = 200
    for split in ("train", "t10k"):
        (root / "mnist" / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (root / "mnist" / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return root


def cifar_bytes(images, labels):
    return np.concatenate([labels.astype(np.uint8)[:, None], images.reshape(len(images), -1)], axis=1).tobytes()


def write_cifar10(root, count=4, folder=""):
    """Files of `count` records each; of image k of file f, the label is (k + f) % 10."""
    place = root / "cifar10" / folder
    place.mkdir(parents=True)
    for number, file in enumerate(CIFAR_FILES):
        labels = (np.arange(count) + number) % 10
        (place / file).write_bytes(cifar_bytes(pixels(count, 3, 32, 32, seed=number), labels))
    return root


def write_cifar10_archive(root):
    files = write_cifar10(root / "unpacked") / "cifar10"
    (root / "cifar10").mkdir()
    with tarfile.open(root / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for file in CIFAR_FILES:
            tar.add(files / file, f"cifar-10-batches-bin/{file}")
    return root


def write_cifar100(root, count=6):
    """Kinds are k % 20; things 33 k % 100."""
    place = root / "cifar100" / "cifar-100-binary"
    place.mkdir(parents=True)
    for number, file in enumerate(("train.bin", "test.bin")):
        images = pixels(count, 3, 32, 32, seed=number).reshape(count, -1)
        labels = np.stack([np.arange(count) % 20, 33 * np.arange(count) % 100], axis=1).astype(np.uint8)
        (place / file).write_bytes(np.concatenate([labels, images], axis=1).tobytes())
    return root


def write_svhn(root, count=12):
    """Labels are 1 to 10, in turn."""
    (root / "svhn").mkdir(parents=True)
    for number, split in enumerate(("train", "test")):
        values = {
            "X": pixels(32, 32, 3, count, seed=number),
            "y": (np.arange(count, dtype=np.uint8) % 10 + 1)[:, None],
        }
        savemat(root / "svhn" / f"{split}_32x32.mat", values, do_compression=True)
    return root


def norb_bytes(array):
    magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[array.dtype.name]
    sizes = [*array.shape, 1, 1][: max(array.ndim, 3)]
    return struct.pack(f"<{2 + len(sizes)}i", magic, array.ndim, *sizes) + array.tobytes()


def norb_arrays(split, count=10):
    steps = np.arange(count, dtype=np.int32)
    instances = np.array(NORB_INSTANCES[split], np.int32)[steps % 5]
    info = np.stack([instances, steps % 9, 2 * (steps % 18), steps % 6], axis=1)
    return {"dat": pixels(count, 2, 96, 96), "cat": steps % 5, "info": info}


def write_smallnorb(root, count=10):
    (root / "smallnorb").mkdir(parents=True)
    for split, stem in NORB_STEMS.items():
        for part, array in norb_arrays(split, count).items():
            path = root / "smallnorb" / f"{stem}-{part}.mat.gz"
            path.write_bytes(gzip.compress(norb_bytes(array), compresslevel=1))
    return root


def affnist_bytes(images, labels, compressed=True):
    """The content of a `.mat` file with images `n 40 40`."""
    count, file = len(images), io.BytesIO()
    struct_ = {
        "human_readable_transform": np.zeros((6, count)),
        "image": images.transpose(0, 2, 1).reshape(count, -1).T,
        "label_one_of_n": np.eye(10, dtype=np.uint8)[:, labels],
        "label_int": labels.astype(np.uint8)[None],
    }
    savemat(file, {"affNISTdata": struct_}, do_compression=compressed)
    return file.getvalue()


def write_affnist(root, count=10):
    write_mnist(root)
    (root / "affnist").mkdir()
    content = affnist_bytes(pixels(count, 40, 40), np.arange(count) % 10)
    with zipfile.ZipFile(root / "affnist" / "test.mat.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test.mat", content)
    return root

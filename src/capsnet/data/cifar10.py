"""CIFAR-10 in its binary version. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

Five files of 10,000 records are the training split, one is the test split; see `capsnet.data.cifar`.
"""

from capsnet.data.cifar import Cifar
from capsnet.data.dataset import DATASETS, Source

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CIFAR10 = Cifar(
    "cifar10",
    "CIFAR-10",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    checksum="md5:c32a1d4ab5d03f1284b67883e8d87530",
    class_names=CLASS_NAMES,
)

DATASETS.add("cifar10", Source(CIFAR10.load, "50,000 + 10,000 colour photographs of ten things, 32x32", CIFAR10.find))

"""CIFAR-100 in its binary version. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

A record has two labels: one of 20 superclasses, which is not read, and one of 100 classes; see `capsnet.data.cifar`.
"""

from capsnet.data.cifar import Cifar
from capsnet.data.dataset import DATASETS, Source

_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CLASS_NAMES = tuple(name.replace("_", " ") for name in _NAMES.split())

CIFAR100 = Cifar(
    "cifar100",
    "CIFAR-100",
    train=("train.bin",),
    test="test.bin",
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    checksum="md5:03b5dce01913d631647c71ecec9e9cb8",
    class_names=CLASS_NAMES,
    label_bytes=2,
)

DATASETS.add(
    "cifar100", Source(CIFAR100.load, "50,000 + 10,000 colour photographs of a hundred things, 32x32", CIFAR100.find)
)

"""Import weights of CapsNet-Keras, CapsNet_Project and Efficient-CapsNet as runs, and export runs to their scripts."""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from capsnet.data import DATASETS, load_data, locate_data
from capsnet.data.dataset import Preparation
from capsnet.data.inputs import Inputs
from capsnet.data.mnist import FASHION_MNIST, KMNIST, MNIST
from capsnet.data.pairs import Pairing
from capsnet.data.pixels import PixelRange
from capsnet.data.smallnorb import CLASS_NAMES, load_smallnorb
from capsnet.errors import UserError
from capsnet.interop import keras_capsnet, keras_efficient, keras_original
from capsnet.interop.hdf5 import Array, KerasFile, read_keras_file, write_keras_2
from capsnet.interop.keras_network import Network, rescale_stem, sort_layers
from capsnet.interop.keras_sizes import describe_changes
from capsnet.models import CapsuleModel
from capsnet.models.capsnet import CapsNet
from capsnet.models.efficient_capsnet import EfficientCapsNet
from capsnet.models.factory import own_option
from capsnet.routing.dynamic import DynamicRouting
from capsnet.runs import Run, RunConfig
from capsnet.runs.built import as_built
from capsnet.runs.folder import create_locked, find_weights
from capsnet.runs.imported import Imported, write_imported
from capsnet.runs.transfer import plain_options
from capsnet.runs.weights import ModelSpec, fill_model, load_weights, read_spec, save_weights
from capsnet.training.device import describe_environment

ITERATIONS = 3
"""Routing iterations of a CapsNet-Keras file that does not state them: the default of its script."""
# options that have a field in a run's configuration
_IN_CONFIG = ("image_shape", "num_classes", "decoder", "iterations")
_MOST_CLASSES = 20


def import_weights(
    path: Path | str,
    out: Path | str,
    *,
    iterations: int | None = None,
    data: str | None = None,
    data_dir: Path | str | None = None,
    image_size: int | None = None,
) -> Run:
    """Make a run folder from a Keras weights file.

    Args:
        path: an HDF5 file of CapsNet-Keras, CapsNet_Project or Efficient-CapsNet.
        out: the folder, which must be new.
        iterations: routing iterations; None: those in the file, else 3. Weights-only files do not state them.
        data: the data set that the network was trained on; None: MNIST, for 28x28 pixels and ten classes.
        data_dir: folder that holds the folders of named data sets.
        image_size: side of the images, for a network of CapsNet-Keras or CapsNet_Project without a decoder.

    Raises:
        UserError: a file of another network, with expected and actual layers; a file that `read_keras_file`
            refuses; an `out` that exists; data that do not fit the network.

    Example:
        >>> run = import_weights(Path("result/trained_model.h5"), Path("runs/keras"))
        >>> capsnet.evaluate(run, "mnist")
    """
    path, out = Path(path), Path(out)
    data_dir = None if data_dir is None else Path(data_dir)
    if out.exists():
        raise UserError(f"{out} exists; give another folder")
    file = read_keras_file(path)
    network, notes = _recognise(file, path, image_size), []
    options = dict(network.options)
    if network.iterates:
        options["iterations"], note = _iterations(file, path, iterations)
        notes += note
    elif iterations is not None:
        raise UserError(f"iterations must be left out, got {iterations}: {network.source} has none")
    if data is None:
        data = network.data
        if data is None:
            raise UserError(f"{path}: give `data`, the data set or folder on which this network was trained")
        notes.append(f"the file does not name its data set: taken as {data}")
    spec = _specify(network, _changed(network.model, options), data, data_dir)
    notes += _note_classes(data, spec.class_names) + _adapt_pixels(network, data_dir)
    model = spec.build()
    fill_model(model, network.tensors, path)
    words = ["capsnet", "import-keras", str(path), str(out), "--data", data]
    given = {"iterations": options.get("iterations"), "image-size": image_size, "data-dir": data_dir}
    words += [word for flag, value in given.items() if value is not None for word in (f"--{flag}", str(value))]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = Imported(str(path), digest, network.source, shlex.join(words), tuple(notes))

    def fill(folder: Path) -> None:
        write_imported(folder, record)
        save_weights(folder / "weights.safetensors", model, spec)

    environment = describe_environment(torch.device("cpu"), "fp32")
    run, lock = create_locked(out, _config(spec, data_dir), environment, fill=fill)
    lock.release()
    return run


def _changed(model: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options that differ from the model's defaults, and those that every weights file names."""
    return {name: value for name, value in options.items() if name in _IN_CONFIG or own_option(model, name) != value}


def _recognise(file: KerasFile, path: Path, image_size: int | None) -> Network:
    parts = sort_layers(file.layers)
    if keras_efficient.is_efficient(parts):
        if image_size is not None:
            raise UserError(
                f"image_size must be left out, got {image_size}: the networks of Efficient-CapsNet have images of a "
                "fixed size"
            )
        return keras_efficient.read_efficient(parts, path)
    if keras_capsnet.is_capsnet(parts):
        return keras_capsnet.read_capsnet(parts, path, image_size)
    if keras_original.is_original(parts):
        return keras_original.read_original(parts, path, image_size)
    raise UserError(
        f"{path} is not a network that can be imported; got {parts.describe()}; expected "
        f"{keras_capsnet.EXPECTED}, {keras_efficient.EXPECTED}, or {keras_original.EXPECTED}"
    )


def _iterations(file: KerasFile, path: Path, given: int | None) -> tuple[int, list[str]]:
    stated = {value for value in file.find_options("routings", "num_routing") if isinstance(value, int)}
    if len(stated) == 1:
        (number,) = stated
        if given not in (None, number):
            raise UserError(f"iterations must be {number}, as {path} states, got {given}; leave it out")
        return number, []
    if given is not None:
        return given, []
    return ITERATIONS, [f"the file does not state the routing iterations: taken as {ITERATIONS}"]


def _specify(network: Network, options: dict[str, object], data: str, data_dir: Path | None) -> ModelSpec:
    """The model's entry in the weights file."""
    shape = cast(tuple[int, int, int], options.get("image_shape") or keras_efficient.image_shape(network.model))
    count = cast(int, options["num_classes"])
    names, preparation, pairing, pixel_range = _describe_data(data, data_dir, shape)
    if len(names) != count:
        raise UserError(f"data must have {count} classes, as the network has, {data} has {len(names)}")
    inputs = Inputs(shape, pixel_range=pixel_range)
    if network.model == "efficient-capsnet-smallnorb":
        inputs = Inputs((2, 96, 96), shrink=64, crop=48)
    return ModelSpec(network.model, options, names, preparation, data, inputs, pairing)


def _describe_data(
    data: str, data_dir: Path | None, shape: tuple[int, int, int]
) -> tuple[tuple[str, ...], Preparation, Pairing | None, PixelRange | None]:
    """Class names, preparation, pairing and pixel range of a data set; data sets like MNIST are not read for this."""
    known = {source.name: source for source in (MNIST, FASHION_MNIST, KMNIST)}
    if data in known and shape == (1, 28, 28):
        return known[data].class_names, known[data].preparation, None, None
    if data == "multimnist" and shape == (1, 36, 36):
        return MNIST.class_names, MNIST.preparation, Pairing(), None
    if data == "smallnorb" and shape == (2, 48, 48):
        return CLASS_NAMES, "fit", None, None
    dataset = load_data(data, data_dir=data_dir, image_size=shape[1])
    if dataset.input_shape != shape:
        raise UserError(
            f"data must be images of {shape}, as the network takes, those of {data} are {dataset.input_shape}"
        )
    return dataset.train.class_names, dataset.preparation, dataset.pairing, dataset.pixel_range


def _note_classes(data: str, names: tuple[str, ...]) -> list[str]:
    """The order of the classes of a person's own data, which a Keras file does not state."""
    if data in DATASETS:
        return []
    listed = ", ".join(names[:_MOST_CLASSES]) + (", ..." if len(names) > _MOST_CLASSES else "")
    return [f"the file does not name its classes: taken in the order {listed}"]


def _adapt_pixels(network: Network, data_dir: Path | None) -> list[str]:
    """Adapt the first convolution to pixels divided by 255, if its authors used other units."""
    if network.model == "efficient-capsnet-smallnorb":
        images = load_smallnorb(data_dir).train.images.double()
        mean, std = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3), correction=0)
        rescale_stem(network.tensors, 255 / std, network.stem, -mean / std)
        return [
            "the first convolution includes standardisation by mean and variance of smallNORB's training images; its "
            "authors standardise test images by those of the test split, and shrink images by another interpolation"
        ]
    if network.pixel_scale != 255.0:
        rescale_stem(network.tensors, torch.tensor([255 / network.pixel_scale]), network.stem)
        scale = f"{network.pixel_scale:.0f}"
        return [f"the first convolution is scaled by 255/{scale}, because its authors divide pixels by {scale}"]
    return []


def _config(spec: ModelSpec, data_dir: Path | None) -> RunConfig:
    """The configuration of a run that was not trained here: its data and its model."""
    iterations = spec.options.get("iterations")
    assert spec.inputs is not None
    return as_built(
        RunConfig.from_defaults(
            data=locate_data(spec.data),
            data_dir=str(data_dir.absolute()) if data_dir else None,
            image_size=spec.inputs.image_shape[1],
            pixel_range=spec.inputs.pixel_range,
            model=spec.model,
            model_options=plain_options(spec.options, without=_IN_CONFIG),
            iterations=iterations if isinstance(iterations, int) else None,
            recon_weight=None if spec.options.get("decoder", True) else 0.0,
            shrink=spec.inputs.shrink or None,
            crop=spec.inputs.crop or None,
        )
    )


def export(run_or_weights: Path | str, out: Path | str) -> list[str]:
    """Write a network for the script of CapsNet-Keras or Efficient-CapsNet, which loads it with `load_weights`.

    Args:
        run_or_weights: a run folder, a weights file, or the name of bundled pretrained weights.
        out: an `.h5` file, which must be new.

    Returns:
        Lines for the user: the file, how to load it in their script, and the sizes to change in the script before.

    Raises:
        UserError: a network that neither repository has, inputs that their scripts do not support, or an `out` that
            exists or has another suffix.
    """
    out = Path(out)
    if out.name.endswith(".weights.h5") or out.suffix not in (".h5", ".hdf5"):
        raise UserError(f"{out} must end in .h5, and not in .weights.h5, which is another layout, that of Keras 3")
    if out.exists():
        raise UserError(f"{out} exists; give another file")
    path = find_weights(run_or_weights)
    spec, model = read_spec(path), load_weights(path)
    layers, sentence = _keras_layers(model, spec)
    write_keras_2(out, layers)
    return [str(out), sentence.replace("FILE", str(out)), *describe_changes(spec)]


def _keras_layers(model: CapsuleModel, spec: ModelSpec) -> tuple[list[tuple[str, dict[str, Array]]], str]:
    if isinstance(model, CapsNet):
        _check_inputs(model, "CapsNet-Keras")
        routing = model.class_capsules.routing
        if isinstance(routing, DynamicRouting) and routing.bias is not None:
            layers = keras_original.original_layers(model)
            return (
                layers,
                f"load it with Efficient-CapsNet: CapsNet('MNIST', custom_path='FILE', n_routing={routing.iterations})",
            )
        layers = keras_capsnet.capsnet_layers(model)
        return layers, f"load it with CapsNet-Keras: python capsulenet.py -t -r {routing.iterations} -w FILE"
    if isinstance(model, EfficientCapsNet):
        if spec.model == "efficient-capsnet-smallnorb":
            raise UserError(
                "Efficient-CapsNet standardises images of smallNORB in its own way, which this file cannot hold"
            )
        _check_inputs(model, "Efficient-CapsNet")
        return keras_efficient.efficient_layers(
            model, spec.model
        ), "load it with Efficient-CapsNet: model.load_weights('FILE')"
    raise UserError(
        f"model {spec.model!r} has no form in Keras; expected capsnet (CapsNet-Keras) or efficient-capsnet "
        "(Efficient-CapsNet)"
    )


def _check_inputs(model: CapsuleModel, script: str) -> None:
    """Refuse inputs that a script does not make.

    Raises:
        UserError: other inputs than whole images of 8 bits with pixels in [0, 1].
    """
    inputs = model.inputs
    if replace(inputs, pixel_range=None) != Inputs(model.input_shape):
        raise UserError(
            f"{script} takes whole images with pixels in [0, 1]; this network takes patches, scaled or standardised "
            "images"
        )
    if inputs.pixel_range is not None and inputs.pixel_range != (0, 255):
        low, high = inputs.pixel_range
        raise UserError(
            f"{script} takes images of 8 bits; this network takes images whose values {low:g} and {high:g} become "
            "black and white"
        )

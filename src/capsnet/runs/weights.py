"""Weights files: a model's tensors and its description, as safetensors, which run no code."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from capsnet.data.dataset import Preparation
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
from capsnet.errors import UserError
from capsnet.models import CapsuleModel, create_model
from capsnet.models.custom import as_capsule_model
from capsnet.models.factory import option_types
from capsnet.models.named import describe_kind
from capsnet.prediction import Doubt
from capsnet.runs.config import is_object
from capsnet.runs.files import write_bytes
from capsnet.runs.formats import rename_options, upgrade_options
from capsnet.runs.limits import SIZE, check_limits
from capsnet.runs.typed import convert, parse_json

T = TypeVar("T")

FORMAT_VERSION = 4
# limit of computed buffers, such as the indices of windows, in elements: 1 GB
_MAX_COMPUTED = 1 << 27


@dataclass(frozen=True)
class ModelSpec:
    """The description of a model in its weights file.

    Args:
        model: name for `create_model`.
        options: for `create_model`.
        class_names: a name for each class.
        preparation: how image files become inputs, `"digit"` or `"fit"`.
        data: name of the training data set.
        inputs: preprocessing of images; None: whole images with pixels in [0, 1].
        pairing: how pairs are made, for a model that was trained on pairs.
        doubt: limits beyond which a prediction is unsure; None: not measured.
    """

    model: str
    options: Mapping[str, object]
    class_names: tuple[str, ...]
    preparation: Preparation
    data: str
    inputs: Inputs | None = None
    pairing: Pairing | None = None
    doubt: Doubt | None = None

    def build(self) -> CapsuleModel:
        """Create the model with new weights, its class names and its preprocessing.

        Raises:
            UserError: an unknown model or option, or a number of classes or input size that does not fit the model.
        """
        return self.describe(create_model(self.model, **self.options))

    def describe(self, model: CapsuleModel) -> CapsuleModel:
        """Set a model's class names and preprocessing.

        Raises:
            UserError: the number of classes or the input size does not fit the model.
        """
        own_names = model.class_names
        if len(own_names) != len(self.class_names):
            raise UserError(
                f"class_names must be {len(own_names)}, as many as the model has classes, got {len(self.class_names)}"
            )
        if self.inputs is not None and self.inputs.shape != model.input_shape:
            raise UserError(f"inputs are {self.inputs.shape}, the model {self.model!r} is for {model.input_shape}")
        model.class_names, model.preparation, model.data = self.class_names, self.preparation, self.data
        model.pairing, model.doubt = self.pairing, self.doubt
        model.inputs = self.inputs or model.inputs
        return model


class _Unfilled(TorchFunctionMode):
    """Redirects `torch.empty` to the meta device, where tensors take no memory.

    All layers allocate their parameters with it. Computed tensors (indices of windows, coordinates) are real. Random
    initialisation of meta tensors is skipped; real tensors are filled as usual.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        options = kwargs or {}
        if func is torch.empty:
            return func(*args, **{**options, "device": "meta"})
        # torch would trace a random draw on the meta device, and load its compiler for that
        filled = options.get("tensor", args[0] if args else None)
        fills = func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", "") == "torch.nn.init"
        if fills and isinstance(filled, Tensor) and filled.is_meta:
            return filled
        if _numbers(func, args) > _MAX_COMPUTED:
            raise UserError(
                f"the model computes {_numbers(func, args):,} indices or coordinates, the limit is {_MAX_COMPUTED:,}; "
                "use smaller images"
            )
        return func(*args, **options)


def _numbers(func: Callable[..., object], args: Sequence[Any]) -> int:
    """Number of elements that a call allocates."""
    if func in (torch.arange, torch.zeros, torch.ones, Tensor.new_zeros, Tensor.new_ones):
        sizes = args[1:] if isinstance(args[0], Tensor) else args
        flat = [side for size in sizes for side in (size if isinstance(size, Sequence) else [size])]
        return prod(side for side in flat if isinstance(side, int))
    if func is Tensor.__getitem__ and isinstance(args[1], Tensor):
        row: int = prod(args[0].shape[1:])
        return args[1].numel() * row
    return args[0].numel() if func in (Tensor.reshape, Tensor.contiguous) and not args[0].is_meta else 0


def on_meta() -> TorchFunctionMode:
    """Context in which models are built without memory or initial values for their weights.

    Computed buffers are real, so that `load_state_dict(..., assign=True)` completes the model.
    """
    return _Unfilled()


def save_weights(path: Path, model: CapsuleModel, spec: ModelSpec) -> None:
    """Write a model's weights with its specification."""
    tensors: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in model.state_dict().items():
        tensors[name] = tensor.detach().cpu().contiguous()
        # the format refuses tensors that share memory, such as tied weights
        if tensor.numel() and tensors[name].untyped_storage().data_ptr() in places:
            tensors[name] = tensors[name].clone()
        places.add(tensors[name].untyped_storage().data_ptr())
    metadata = {"capsnet": json.dumps({"format_version": FORMAT_VERSION, **asdict(spec)})}
    write_bytes(path, save(tensors, metadata))


def load_weights(path: Path, model: nn.Module | None = None) -> CapsuleModel:
    """Build the model of a weights file, in eval mode on the CPU.

    Args:
        path: the weights file.
        model: an object that receives the weights, instead of a new model; it is changed.

    Raises:
        UserError: the file is missing, damaged, not a capsnet weights file, from a newer version, or does not fit its
            model.
    """
    tensors, metadata = read_tensors(path)
    if "capsnet" not in metadata:
        raise _unknown_model(path, metadata)
    spec = _parse_spec(metadata["capsnet"], path)
    if model is not None:
        shape = spec.inputs.shape if spec.inputs is not None else None
        if shape is None:
            raise UserError(f"{path} does not hold the input shape of its model; load it without a model")
        described = spec.describe(as_capsule_model(model, shape, len(spec.class_names)))
        fill_model(described, tensors, path)
        return described.eval()
    if is_object(spec.model):
        name = spec.model.partition(": ")[2]
        raise UserError(
            f"{path}: the weights are those of a network of your own class, {name}, which no file holds; pass it: "
            "run.load_model(module) or capsnet.load(source, model=module)"
        )
    built = _build(spec, path)
    built.load_state_dict(_fit(tensors, built.state_dict(), path), assign=True)
    return built.eval()


def read_spec(path: Path) -> ModelSpec:
    """Read the description of the model in a weights file.

    Raises:
        UserError: as `load_weights`.
    """
    metadata = _read(path, lambda file: file.metadata() or {})
    if "capsnet" not in metadata:
        raise _unknown_model(path, metadata)
    return _parse_spec(metadata["capsnet"], path)


def _unknown_model(path: Path, metadata: Mapping[str, str]) -> UserError:
    """The error for weights without the description of a model that classifies images."""
    kind = describe_kind(metadata)
    if kind is None:
        return UserError(f"{path} holds tensors but not the capsnet model they belong to; save them with capsnet")
    load = "load_segmenter" if kind == "segmenter" else "load_sequence_model"
    given = "IMAGE" if kind == "segmenter" else "RECORDING.wav"
    return UserError(
        f"{path} holds a {kind}, which does not classify images; use capsnet.models.{load}({str(path)!r}), or "
        f"capsnet predict {path} {given}"
    )


def _parse_spec(text: str, path: Path) -> ModelSpec:
    """Parse the description of a model and check its sizes against the limits."""
    values = parse_json(text, str(path))
    version = values.pop("format_version", None) if isinstance(values, dict) else None
    if version is None:
        raise UserError(f"{path} holds tensors but not the capsnet model they belong to; save them with capsnet")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise UserError(f"{path} is from a newer capsnet (format {version}, this one reads up to {FORMAT_VERSION})")
    check_limits(values, str(path))
    if version < FORMAT_VERSION:
        values = _upgrade(values, version)
    spec = cast(ModelSpec, convert(values, ModelSpec, str(path)))
    check_limits(dict(spec.options), str(path), "options", size=SIZE)
    forms = {} if is_object(spec.model) else option_types(spec.model)
    for option, value in spec.options.items():
        if option == "device":
            raise UserError(f"{path}: the entry 'options.device' is not one of a weights file")
        convert(value, forms.get(option, object), str(path), f"options.{option}")
    return spec


def _upgrade(values: object, version: int) -> object:
    """Convert the description from an older format to the present one."""
    if not isinstance(values, dict):
        return values
    model, options = values.get("model"), values.get("options")
    if not isinstance(model, str) or not isinstance(options, dict):
        return values
    options = rename_options(model, options)
    return {**values, "options": upgrade_options(model, options) if version < 3 else options}


def _build(spec: ModelSpec, path: Path) -> CapsuleModel:
    """The model that a weights file describes, without memory for its weights."""
    try:
        with on_meta():
            model = spec.build()
        if not any(tensor.is_meta for tensor in _not_stored(model)):
            return model
    except NotImplementedError:
        # an operation of its constructor does not support the meta device
        pass
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as fault:
        raise UserError(f"{path}: its model cannot be built ({fault})") from None
    # a model of another package that cannot be built on the meta device; loading must not change the random state
    with torch.random.fork_rng(devices=[]):
        return spec.build()


def _not_stored(model: CapsuleModel) -> list[Tensor]:
    stored = model.state_dict()
    return [tensor for name, tensor in model.named_buffers() if name not in stored]


def fill_model(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a model.

    Raises:
        UserError: a tensor is missing, unknown, of another shape or number type, or not finite.
    """
    model.load_state_dict(_fit(tensors, model.state_dict(), path))


def _fit(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Copies of a file's tensors, in the dtypes of the model."""
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors:
            raise UserError(f"{path}: the weights do not fit the model, {name!r} is missing")
        if name not in own:
            raise UserError(f"{path}: the weights do not fit the model, it has no {name!r}")
        if tensors[name].shape != own[name].shape:
            shapes = f"{tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the model"
            raise UserError(f"{path}: the weights do not fit the model, {name!r} is {shapes}")
    return {name: fit_numbers(tensor, own[name].dtype, name, path) for name, tensor in tensors.items()}


def fit_numbers(tensor: Tensor, dtype: torch.dtype, name: str, path: Path) -> Tensor:
    """A copy of a file's tensor in another dtype.

    Raises:
        UserError: integers, booleans or complex numbers instead of real ones, or numbers that are not finite.
    """
    if not (tensor.dtype == dtype or (tensor.dtype.is_floating_point and dtype.is_floating_point)):
        dtypes = f"{str(tensor.dtype).removeprefix('torch.')}, expected {str(dtype).removeprefix('torch.')}"
        raise UserError(f"{path}: the tensor {name!r} holds numbers of the type {dtypes}")
    # tensors that were read are views of the file
    fitted = tensor.to(dtype, copy=True)
    if not is_finite(fitted):
        raise UserError(f"{path}: the tensor {name!r} holds NaN or infinity; use weights of a run that did not diverge")
    return fitted


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity."""
    # a sum is fast; it is not finite if an element is not, or if elements are very large
    return not tensor.is_floating_point() or bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises:
        UserError: no such file, or not a complete safetensors file.
    """
    return _read(path, lambda file: ({name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}))  # noqa: SIM118


def _read(path: Path, read: Callable[[safe_open], T]) -> T:
    """What `read` finds in a safetensors file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # safetensors opens only UTF-8 paths
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / "weights.safetensors"
            link.symlink_to(path.absolute())
            return _read_at(link, path, read)
    return _read_at(path, path, read)


def _read_at(location: Path, path: Path, read: Callable[[safe_open], T]) -> T:
    try:
        with safe_open(location, framework="pt") as file:
            return read(file)
    except (SafetensorError, OSError, RuntimeError, ValueError, LookupError) as fault:
        raise UserError(f"{path} is not a complete safetensors file ({fault})") from None


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_decoder(model: nn.Module) -> int:
    """Number of trainable parameters of the decoder; 0 without a decoder."""
    named = model.named_parameters()
    return sum(weight.numel() for name, weight in named if name.startswith("decoder.") and weight.requires_grad)


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Tensors and metadata as the content of a safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata))

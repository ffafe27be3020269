"""Backbones: networks that turn images into feature maps, trained by others or by us.

Wightman, "PyTorch Image Models" (timm), 2019; He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition",
CVPR 2016, section 4.2 (ResNet-20).
"""

import importlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from capsnet.cache import cache_dir
from capsnet.errors import UserError
from capsnet.models.eval_mode import eval_mode
from capsnet.models.model import conv_grid
from capsnet.models.resnet import residual_trunk

UNTRAINED = "resnet20"
"""The backbone that this package has itself, without trained weights."""

PHOTO_BACKBONE = "tf_efficientnet_lite0.in1k"
"""The timm model for a folder of photos: trained on ImageNet, small enough for a CPU."""

_STAGES = ((16, 3, 1), (32, 3, 2), (64, 3, 2))


@dataclass(frozen=True)
class Backbone:
    """A network that gives feature maps.

    Args:
        module: `module(images)` is `b channels rows columns`, or a list of which the last is that.
        channels: of the feature maps.
        grid: rows and columns of the feature maps.
        mean: of each channel of the images it was trained on, which is subtracted.
        std: of each channel, by which images are divided.
        trained: whether it has trained weights.
    """

    module: nn.Module
    channels: int
    grid: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    trained: bool


def load_backbone(
    backbone: str | nn.Module,
    image_shape: tuple[int, int, int],
    weights: str | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Backbone:
    """Make a backbone for images of a shape.

    Args:
        backbone: `"resnet20"`, which is untrained; the name of a timm model, such as `"resnet18.a1_in1k"`; or a module.
        image_shape: channels, height and width.
        weights: a local .safetensors file of a timm model's weights; None: the file in the cache of this package
            (`find_weights`), timm's cache, or its download.

    Raises:
        UserError: timm is not installed or has no such model, its weights cannot be had, or a module does not give
            feature maps.
    """
    channels, height, width = image_shape
    plain = (0.0,) * channels, (1.0,) * channels
    if isinstance(backbone, nn.Module):
        shape = _feature_shape(backbone.to(device=device, dtype=dtype), image_shape)
        return Backbone(backbone, shape[0], (shape[1], shape[2]), *plain, trained=True)
    if backbone == UNTRAINED:
        if weights is not None:
            raise UserError(f"weights belong to a timm model, got weights={weights!r} for backbone {backbone!r}")
        trunk = residual_trunk(channels, _STAGES, device=device, dtype=dtype)
        grid = conv_grid((height, width), [(1, stride) for _, _, stride in _STAGES])
        return Backbone(trunk, _STAGES[-1][0], grid, *plain, trained=False)
    return _load_timm(backbone, image_shape, weights, device, dtype)


def find_weights(name: str) -> Path | None:
    """The trained weights of a timm model on this machine, in the cache of this package or of timm; None: not here.

    Args:
        name: of the model; None too if timm is not installed.
    """
    if importlib.util.find_spec("timm") is None:
        return None
    if (path := _cached(name)).is_file():
        return path
    try:
        hub = importlib.import_module("huggingface_hub")
    except ModuleNotFoundError:
        return None
    file = hub.try_to_load_from_cache(f"timm/{name}", "model.safetensors")
    return Path(file) if isinstance(file, str) else None


def _cached(name: str) -> Path:
    return cache_dir() / "backbones" / f"{name}.safetensors"


def last_maps(features: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """The last feature maps of a backbone's output."""
    return features if isinstance(features, torch.Tensor) else features[-1]


def _check_weights(weights: str, name: str) -> None:
    if Path(weights).suffix != ".safetensors":
        raise UserError(f"weights must be a .safetensors file, which runs no code, got {weights}")
    if not Path(weights).is_file():
        raise UserError(f"{weights}: no such file; it should hold the weights of {name}")


def _feature_shape(module: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    weight = next(module.parameters(), torch.empty(0))
    images = torch.zeros(1, *image_shape, device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad(), eval_mode(module):
            maps = last_maps(module(images))
    except (AttributeError, IndexError, RuntimeError, TypeError) as fault:
        raise UserError(f"backbone {type(module).__name__} cannot take images b x {image_shape} ({fault})") from None
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        got = tuple(maps.shape) if isinstance(maps, torch.Tensor) else type(maps).__name__
        raise UserError(
            f"backbone {type(module).__name__} must give feature maps b x channels x rows x columns, got {got}; leave "
            "out its pooling and its last layer"
        )
    return maps.shape[1], maps.shape[2], maps.shape[3]


def _load_timm(
    name: str,
    image_shape: tuple[int, int, int],
    weights: str | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Backbone:
    try:
        timm = importlib.import_module("timm")
    except ModuleNotFoundError as fault:
        if fault.name != "timm":
            raise UserError(f"timm needs the package {fault.name}: pip install {fault.name}") from None
        raise UserError(
            f"backbone {name!r} needs the package timm: pip install 'capsnet[backbones]'; without it, use "
            f"{UNTRAINED!r} or give a module"
        ) from None
    # a model on the meta device takes its weights from a run
    described = torch.empty(0).is_meta
    if described:
        weights = None
    elif weights is not None:
        _check_weights(weights, name)
    elif _cached(name).is_file():
        weights = str(_cached(name))
    builder = logging.getLogger("timm.models._builder")
    level = builder.level
    # it lists the weights of the classifier, which feature maps do not need
    builder.setLevel(logging.ERROR)
    try:
        settings = timm.get_pretrained_cfg(name)
        module = timm.create_model(
            name,
            pretrained=not described,
            features_only=True,
            out_indices=(-1,),
            pretrained_cfg_overlay=None if weights is None else {"file": weights},
        )
    except Exception as fault:  # whatever timm, its hub or the network raises
        reason = next(iter(str(fault).splitlines()), type(fault).__name__)
        raise UserError(
            f"timm cannot load backbone {name!r} ({reason}); without a network, copy model.safetensors of "
            f"huggingface.co/timm/{name} to {_cached(name)}, or give weights=FILE"
        ) from None
    finally:
        builder.setLevel(level)
    channels, height, width = image_shape
    if channels not in (1, settings.input_size[0]):
        raise UserError(f"backbone {name!r} takes {settings.input_size[0]} channels (or 1, repeated), got {channels}")
    # padded windows give the same grid as 1x1 ones of the same stride
    grid = conv_grid((height, width), [(1, module.feature_info.reduction()[-1])])
    return Backbone(
        module.to(device=device, dtype=dtype),
        module.feature_info.channels()[-1],
        grid,
        tuple(settings.mean),
        tuple(settings.std),
        trained=True,
    )

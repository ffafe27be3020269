"""Which fused implementations apply here."""

import importlib.metadata
import importlib.util

import torch

from capsnet.doctor.finding import Finding
from capsnet.training.device import resolve_device


def find_kernels() -> Finding:
    """Ask each kernel about the layers of the paper's network; nothing is measured for it."""
    triton = importlib.metadata.version("triton") if importlib.util.find_spec("triton") else None
    says = {"Triton": triton or "not installed (only GPUs need it)"}
    values: dict[str, object] = {"triton": triton}
    if importlib.util.find_spec("capsnet.kernels") is None:
        return Finding({**says, "kernels": "none: plain implementations are used"}, {**values, "mode": "plain"})
    from capsnet.kernels import dynamic_routing, mode, strided_conv

    device, chosen = resolve_device("auto"), mode()
    routing = dynamic_routing.refuses(*_routing(128, device))
    single = dynamic_routing.refuses(*_routing(1, device))
    convolution = strided_conv.refuses(*_convolution(128, device))
    small = strided_conv.refuses(*_convolution(16, device))
    says |= {
        "dynamic routing": _say(routing),
        "of one image": _say(single),
        "strided convolution": _say(convolution),
        "of 16 images": _say(small),
    }
    values |= {
        "mode": chosen,
        "dynamic_routing": {"fused": routing is None, "reason": routing},
        "dynamic_routing_of_one_image": {"fused": single is None, "reason": single},
        "strided_conv": {"fused": convolution is None, "reason": convolution},
        "strided_conv_of_16_images": {"fused": small is None, "reason": small},
    }
    warnings = []
    if chosen == "plain":
        warnings.append("kernels: CAPSNET_KERNELS=plain switches all of them off")
    if device.type == "cuda" and triton is None:
        warnings.append("kernels: Triton is not installed, so that routing is slower on this GPU; pip install triton")
    return Finding(says, values, tuple(warnings))


def _say(reason: str | None) -> str:
    return "fused" if reason is None else f"plain, because {reason}"


def _routing(batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty(batch, 1152, 8, device=device), torch.empty(1152, 8, 10, 16, device=device)


def _convolution(batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, None, int]:
    return torch.empty(batch, 256, 20, 20, device=device), torch.empty(256, 256, 9, 9, device=device), None, 2

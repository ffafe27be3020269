"""Which fused implementations apply here, and what was measured for this machine."""

import importlib.metadata
import importlib.util
import os

import torch

from capsnet.doctor.finding import Finding
from capsnet.training.device import resolve_device

_CONVOLUTION = "strided_conv "


def find_kernels() -> Finding:
    """Ask each kernel about the layers of the paper's network; nothing is measured for it."""
    triton = importlib.metadata.version("triton") if importlib.util.find_spec("triton") else None
    says = {"Triton": triton or "not installed (only GPUs need it)"}
    values: dict[str, object] = {"triton": triton}
    if importlib.util.find_spec("capsnet.kernels") is None:
        return Finding({**says, "kernels": "none: plain implementations are used"}, {**values, "mode": "plain"})
    from capsnet.kernels import choices, dynamic_routing, mode, strided_conv

    device, chosen = resolve_device("auto"), mode()
    routing = dynamic_routing.refuses(*_routing(128, device))
    single = dynamic_routing.refuses(*_routing(1, device))
    convolution = strided_conv.refuses(*_convolution(device), 2)
    asked = os.environ.get("CAPSNET_STRIDED_CONV") or "auto"
    known = choices.known()
    measured = {key.removeprefix(_CONVOLUTION): way for key, way in known.items() if key.startswith(_CONVOLUTION)}
    says |= {
        "dynamic routing": _say(routing),
        "of one image": _say(single),
        "strided convolution": "plain on this device" if convolution else "the faster of two ways, measured once",
    }
    if not convolution:
        lines = [f"{'fast' if way == 'fast' else 'torch'}: {key}" for key, way in sorted(measured.items())]
        says["measured here"] = "\n".join(lines) or "nothing yet; the first run does it, in seconds"
    values |= {
        "mode": chosen,
        "dynamic_routing": {"fused": routing is None, "reason": routing},
        "dynamic_routing_of_one_image": {"fused": single is None, "reason": single},
        "strided_conv": {"applies": convolution is None, "reason": convolution, "asked": asked, "measured": measured},
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


def _convolution(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty(16, 256, 20, 20, device=device), torch.empty(256, 256, 9, 9, device=device)

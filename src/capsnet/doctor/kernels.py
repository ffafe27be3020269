"""Which fused kernels apply on this machine."""

import importlib.metadata
import importlib.util

import torch

from capsnet.doctor.finding import Finding
from capsnet.training.device import resolve_device

WITHOUT_C = "training on this CPU is slower without kernels in C"
"""What the warning about a missing compiler says of its cost; docs/speed.md has the times."""


def find_kernels() -> Finding:
    """Check which kernels support the layers of the paper's network; nothing is measured.

    Kernels in C are compiled unless they are in the cache.
    """
    triton = importlib.metadata.version("triton") if importlib.util.find_spec("triton") else None
    lines = {"Triton": triton or "not installed (only GPUs need it)"}
    values: dict[str, object] = {"triton": triton}
    if importlib.util.find_spec("capsnet.kernels") is None:
        return Finding({**lines, "kernels": "none: plain implementations are used"}, {**values, "mode": "plain"})
    from capsnet.kernels import dynamic_routing, mode, strided_conv

    device, present_mode = resolve_device("auto"), mode()
    routing = dynamic_routing.refuses(*_routing(128, device))
    single = dynamic_routing.refuses(*_routing(1, device))
    convolution = strided_conv.refuses(*_convolution(128, device))
    small = strided_conv.refuses(*_convolution(16, device))
    in_c = _find_compiled(device)
    lines |= {
        **in_c.lines,
        "dynamic routing": _describe(routing),
        "dynamic routing, 1 image": _describe(single),
        "strided convolution": _describe(convolution),
        "strided convolution, 16 images": _describe(small),
    }
    values |= {
        **in_c.values,
        "mode": present_mode,
        "dynamic_routing": {"fused": routing is None, "reason": routing},
        "dynamic_routing_of_one_image": {"fused": single is None, "reason": single},
        "strided_conv": {"fused": convolution is None, "reason": convolution},
        "strided_conv_of_16_images": {"fused": small is None, "reason": small},
    }
    warnings = list(in_c.warnings)
    if present_mode == "plain":
        warnings.append("kernels: CAPSNET_KERNELS=plain disables all fused kernels")
    if device.type == "cuda" and triton is None:
        warnings.append("kernels: Triton is not installed, so routing is slower on this GPU; pip install triton")
    return Finding(lines, values, tuple(warnings))


def _find_compiled(device: torch.device) -> Finding:
    """The C compiler, and which kernels in C it compiles."""
    from capsnet.kernels import mode, native
    from capsnet.kernels.compiler import find_compiler

    compiler = find_compiler()
    values: dict[str, object] = {"c_compiler": None if isinstance(compiler, str) else compiler.version}
    lines = {"C compiler": f"none: {compiler}" if isinstance(compiler, str) else compiler.version}
    if device.type != "cpu":
        return Finding({**lines, "kernels in C": "none: a GPU does not use them"}, {**values, "kernels_in_c": {}})
    reasons = native.refusals()
    values["kernels_in_c"] = {name: {"used": reason is None, "reason": reason} for name, reason in reasons.items()}
    used = ", ".join(name for name, reason in reasons.items() if reason is None)
    lines["kernels in C"] = used or "none"
    if mode() != "auto":
        problems = [f"CAPSNET_KERNELS is torch; {WITHOUT_C}"] if mode() == "torch" else []
    else:
        unused = {reason: [name for name in reasons if reasons[name] == reason] for reason in reasons.values()}
        problems = [
            f"{reason}; {WITHOUT_C} ({', '.join(names)})" for reason, names in unused.items() if reason is not None
        ]
    return Finding(lines, values, tuple(f"kernels: {problem}" for problem in problems))


def _describe(reason: str | None) -> str:
    return "fused" if reason is None else f"plain, because {reason}"


def _routing(batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty(batch, 1152, 8, device=device), torch.empty(1152, 8, 10, 16, device=device)


def _convolution(batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, None, int]:
    return torch.empty(batch, 256, 20, 20, device=device), torch.empty(256, 256, 9, 9, device=device), None, 2

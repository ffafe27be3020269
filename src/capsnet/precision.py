"""Precision: whether bfloat16 products run in hardware, and how a GPU rounds those of float32."""

import contextlib
import os
from collections.abc import Iterator

import torch

# values of ONEDNN_MAX_CPU_ISA that leave bfloat16 products out
_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")


def multiplies_bfloat16() -> bool:
    """Whether PyTorch multiplies bfloat16 in hardware on this processor (AVX-512 or AMX).

    False also where `ATEN_CPU_CAPABILITY` or `ONEDNN_MAX_CPU_ISA` exclude these instructions.
    """
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        return False
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT_BFLOAT16:
        return False
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


@contextlib.contextmanager
def use_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Set PyTorch's precision on a GPU, where its defaults round float32 convolutions to TF32.

    fp32 is float32 throughout. tf32 rounds the factors of float32 products to 10 bits. bf16 does so outside autocast,
    and the fused routing rounds its factors to bfloat16. On a CPU nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision({"fp32": "highest", "tf32": "high", "bf16": "medium"}[precision])
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]

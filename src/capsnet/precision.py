"""Precision: whether bfloat16 products run in hardware, and how a GPU rounds those of float32."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

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
    matmul, cudnn = _read_matmul(), _read_cudnn()
    newer = [(switch, switch.fp32_precision) for switch in _switches(matmul is None, cudnn is None)]
    torch.set_float32_matmul_precision({"fp32": "highest", "tf32": "high", "bf16": "medium"}[precision])
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    try:
        yield
    finally:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            torch.backends.cudnn.allow_tf32 = cudnn
        for switch, value in newer:
            switch.fp32_precision = value


# the older switches cannot be read where the user has set the newer ones, `torch.backends.cuda.matmul.fp32_precision`
# and `torch.backends.cudnn.conv.fp32_precision`


def _read_matmul() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _read_cudnn() -> bool | None:
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return None


def _switches(matmul: bool, cudnn: bool) -> list[Any]:
    """The newer switches of products and of convolutions."""
    backends: Any = torch.backends
    products = [backends.cuda.matmul, backends.mkldnn.matmul] if matmul else []
    return products + ([backends.cudnn.conv, backends.cudnn.rnn] if cudnn else [])

"""What this processor computes in hardware, within the limits that are set for PyTorch's libraries."""

import os

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

"""Every Triton kernel that a call launches compiles for the GPUs that are common, without one; nothing is run."""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from capsnet.kernels.dynamic_routing import dynamic_routing, op

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing"),
]

PAPER = (128, 1152, 8, 10, 16)  # b i c j d
TYPES = {torch.float32: "*fp32", torch.float64: "*fp64", torch.float16: "*fp16", torch.bfloat16: "*bf16"}

# what a launch gives to the compiler, not to the kernel
OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion")


@dataclass
class Launch:
    """A kernel with the arguments of one launch."""

    kernel: object
    arguments: dict[str, object]
    options: dict[str, int]

    def compile(self, capability: int, folder: Path) -> dict[str, int]:
        """Compile as a launch would on such a GPU; registers, stack and shared memory as the compiler gives them."""
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        constants = {p.name: self.arguments[p.name] for p in self.kernel.params if p.is_constexpr}
        signature, attributes = {}, {}
        for position, name in enumerate(self.kernel.arg_names):
            value = self.arguments[name]
            # a size of 1 is a constant to Triton, and a multiple of 16 is known as one
            if name in constants or (isinstance(value, int) and value == 1):
                constants[name], signature[name] = value, "constexpr"
                continue
            tensor = isinstance(value, torch.Tensor)
            signature[name] = TYPES[value.dtype] if tensor else "i64" if value >= 2**31 else "i32"
            if tensor or value % 16 == 0:
                attributes[position,] = [["tt.divisibility", 16]]
        source = ASTSource(self.kernel, signature, constants, attributes)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=self.options)
        file = folder / "kernel.cubin"
        file.write_bytes(compiled.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        command = [str(tool), "--dump-resource-usage", str(file)]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {name: int(number) for name, number in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", usage)} | {
            "SHARED": compiled.metadata.shared
        }


class Recorder:
    """Stands for a kernel: keeps what it is launched with."""

    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        def launch(*arguments, **named):
            names = self.kernel.arg_names
            options = {name: named.pop(name) for name in OPTIONS if name in named}
            self.launches.append(Launch(self.kernel, dict(zip(names, arguments, strict=False)) | named, options))

        return launch


@pytest.fixture
def launches(monkeypatch):
    """What the routing launches from here on."""
    import triton

    from capsnet.kernels.dynamic_routing import triton as routing

    launches = []
    for name, value in vars(routing).copy().items():
        if isinstance(value, triton.JITFunction) and launched(value):
            monkeypatch.setattr(routing, name, Recorder(value, launches))
    monkeypatch.setattr(op, "_implementation", lambda poses: routing)
    return launches


def launched(function):
    return any(not parameter.is_constexpr for parameter in function.params)


def route(size, dtype=torch.float32, *, coupling_counts=False, **options):
    b, i, c, j, d = size
    poses, weight = (torch.zeros(shape, dtype=dtype, requires_grad=True) for shape in ((b, i, c), (i, c, j, d)))
    output = dynamic_routing(poses, weight, **options)
    outputs = [output.poses, output.coupling] if coupling_counts else [output.poses]
    torch.autograd.grad(outputs, (poses, weight), [torch.zeros_like(one) for one in outputs])


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("leaky", [False, True])
def test_no_register_spills_at_the_papers_size(capability, leaky, launches, tmp_path):
    route(PAPER, leaky=leaky, coupling_counts=leaky)
    usages = [launch.compile(capability, tmp_path) for launch in launches]
    assert len(usages) >= 3
    assert all(usage["STACK"] == usage["LOCAL"] == 0 for usage in usages), usages


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        ((1, 1, 1, 1, 1), torch.float32),
        ((7, 63, 3, 5, 7), torch.float32),
        ((33, 7, 16, 2, 4), torch.float32),
        ((16, 63, 8, 10, 16), torch.float64),
        ((16, 64, 8, 100, 16), torch.float32),
    ],
    ids=str,
)
def test_kernels_compile_at_other_sizes(size, dtype, capability, launches, tmp_path):
    route(size, dtype)
    for launch in launches:
        usage = launch.compile(capability, tmp_path)
        # what a block may have on the smaller of the two
        assert usage["REG"] <= 255
        assert usage["SHARED"] <= 163 * 1024


def test_kernels_compile_with_the_last_gradient(launches, tmp_path):
    route(PAPER, gradient="last", iterations=2)
    for launch in launches:
        assert launch.compile(80, tmp_path)["STACK"] == 0

"""Every Triton kernel that a call launches compiles for the GPUs that are common, without one; nothing is run."""

import contextlib
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


@pytest.fixture
def launches(monkeypatch):
    """What the routing launches from here on."""
    import triton

    from capsnet.kernels.dynamic_routing import triton as routing

    launches = []

    def record(kernel, grid):
        def launch(*arguments, **named):
            options = {name: named.pop(name) for name in OPTIONS if name in named}
            launches.append(Launch(kernel, dict(zip(kernel.arg_names, arguments, strict=False)) | named, options))

        return launch

    monkeypatch.setattr(triton.JITFunction, "__getitem__", record)
    monkeypatch.setattr(op, "_implementation", lambda poses: routing)
    return launches


def route(size, dtype=torch.float32, *, coupling_counts=False, **options):
    b, i, c, j, d = size
    poses, weight = (torch.zeros(shape, dtype=dtype, requires_grad=True) for shape in ((b, i, c), (i, c, j, d)))
    output = dynamic_routing(poses, weight, **options)
    outputs = [output.poses, output.coupling] if coupling_counts else [output.poses]
    torch.autograd.grad(outputs, (poses, weight), [torch.zeros_like(one) for one in outputs])


def compile_all(launches, capability, folder):
    """Compile each kernel once for its constants; check that a block of it fits the smallest of these GPUs."""
    usages = {}
    for launch in launches:
        constants = [(name, value) for name, value in launch.arguments.items() if not isinstance(value, torch.Tensor)]
        key = f"{launch.kernel.__name__} {constants}"
        usages[key] = usages.get(key) or launch.compile(capability, folder)
    assert all(usage["SHARED"] <= 99 * 1024 for usage in usages.values()), usages
    return usages


@pytest.fixture(params=["highest", "medium"], ids=["float32", "bfloat16"])
def precision(request):
    """The type in which products are formed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("capability", [80, 90])
def test_no_register_spills_at_the_papers_size(capability, launches, tmp_path):
    route(PAPER)
    usages = compile_all(launches, capability, tmp_path)
    names = {name.split()[0] for name in usages}
    assert names == {"iterate", "finish_forward", "begin_backward", "gradients", "finish_backward"}
    assert all(usage["STACK"] == usage["LOCAL"] == 0 for usage in usages.values()), usages


@pytest.mark.parametrize("capability", [80, 90])
def test_a_hundred_parents_are_routed_in_blocks(capability, launches, tmp_path):
    route((16, 64, 8, 100, 16), coupling_counts=True)
    usages = compile_all(launches, capability, tmp_path)
    assert any("measure_softmax" in name for name in usages)
    # without blocks it was hundreds of bytes
    assert all(usage["STACK"] <= 64 for usage in usages.values()), usages


@pytest.mark.parametrize(
    ("size", "dtype", "capability"),
    [
        ((1, 1, 1, 1, 1), torch.float32, 90),
        ((7, 63, 3, 5, 7), torch.float32, 80),
        ((33, 7, 16, 2, 4), torch.float32, 90),
        ((16, 63, 8, 10, 16), torch.float64, 80),
        ((16, 5, 64, 3, 64), torch.float32, 90),
        ((16, 5, 8, 3, 16), torch.bfloat16, 80),
    ],
    ids=str,
)
def test_kernels_compile_at_other_sizes(size, dtype, capability, launches, tmp_path):
    # a third iteration adds to gradients, which depends on the type and not on the size
    route(size, dtype, iterations=2 if dtype == torch.float32 else 3)
    assert compile_all(launches, capability, tmp_path)


@pytest.mark.parametrize(
    "options", [{"gradient": "last", "iterations": 2}, {"leaky": True, "coupling_counts": True}], ids=str
)
def test_kernels_compile_with_each_option(options, launches, tmp_path):
    route(PAPER, **options)
    assert all(usage["STACK"] == 0 for usage in compile_all(launches, 80, tmp_path).values())


def test_kernels_are_launched_on_the_device_of_their_tensors(launches, monkeypatch):
    entered = []

    @contextlib.contextmanager
    def device_of(tensor):
        entered.append(tensor.device)
        before = len(launches)
        yield
        assert len(launches) > before

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    route((16, 3, 2, 2, 4))
    assert len(entered) == 2

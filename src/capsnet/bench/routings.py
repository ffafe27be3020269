"""Time and memory of every routing in the same two capsule layers, with the size of the votes for comparison."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from capsnet import kernels
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.memory import added_megabytes
from capsnet.capsules import Capsules
from capsnet.layers import ConvCapsules, DenseCapsules
from capsnet.routing import ROUTINGS, Routing, list_options

Sizes = Mapping[str, int]

# a dense layer has one position, which holds all children
DENSE = {"side": 1, "types": 1152, "kernel": 1, "stride": 1, "dim": 8, "parents": 10, "parent dim": 16}
CONV = {"side": 12, "types": 8, "kernel": 3, "stride": 2, "dim": 16, "parents": 16, "parent dim": 16}
_TINY = {"side": 1, "types": 3, "kernel": 1, "stride": 1, "dim": 16, "parents": 2, "parent dim": 16}
# routings whose papers have 4x4 pose matrices, with votes of the same size
_MATRICES = ("em", "variational-bayes")


class Path(NamedTuple):
    """One way to compute a routing.

    Args:
        routing: its name.
        mode: `"auto"` to allow a fused kernel.
        recompute: recompute intermediate tensors in the backward pass.
    """

    routing: str
    mode: kernels.Mode = "plain"
    recompute: bool = False


def find_paths() -> dict[str, Path]:
    """All registered routings, uniform first, with their fused and recomputed variants."""
    paths = {}
    for name in sorted(ROUTINGS.names(), key=lambda name: name != "uniform"):
        routing = make_layer(Path(name), _TINY).routing
        paths[name] = Path(name)
        if type(routing).route_children is not Routing.route_children:
            paths[f"{name}, fused"] = Path(name, "auto")
        if "recompute" in (list_options(name) or ()):
            paths[f"{name}, recomputed"] = Path(name, recompute=True)
    return paths


def make_layer(path: Path, sizes: Sizes) -> DenseCapsules | ConvCapsules:
    """A layer of these sizes, with pose matrices for the routings that need them."""
    side, types, kernel, stride, dim, parents, parent_dim = sizes.values()
    shape = (4, 4) if path.routing in _MATRICES else None
    options = {"recompute": True} if path.recompute else {}
    if side > 1:
        return ConvCapsules(
            types,
            parents,
            grid=(side, side),
            kernel_size=kernel,
            stride=stride,
            child_dim=dim,
            parent_dim=parent_dim,
            pose_shape=shape,
            routing=path.routing,
            routing_options=options,
        )
    return DenseCapsules(
        types,
        parents,
        child_dim=parent_dim if shape else dim,
        parent_dim=parent_dim,
        pose_shape=shape,
        routing=path.routing,
        routing_options=options,
    )


class Step:
    """One layer with its children, for a forward pass with or without backward."""

    def __init__(self, path: Path, batch: int, sizes: Sizes, device: torch.device) -> None:
        self.path, self.layer = path, make_layer(path, sizes).to(device)
        draw = torch.Generator().manual_seed(0)
        shape = (batch, sizes["side"] ** 2 * sizes["types"], self.layer.child_dim)
        poses = (0.3 * torch.randn(*shape, generator=draw)).to(device).requires_grad_()
        self.children = Capsules(poses, poses.detach().norm(dim=2).clamp(max=1).requires_grad_())
        parents = sizes["parents"] * count_windows(sizes)
        self.gradient = torch.ones(batch, parents, sizes["parent dim"] + 1, device=device)

    def run(self) -> Tensor:
        """Poses and activations of the parents, concatenated."""
        with kernels.use(self.path.mode):
            parents = self.layer(self.children)
        return torch.cat([parents.poses, parents.activations[..., None]], dim=2)

    @torch.no_grad()
    def infer(self) -> Tensor:
        """Forward."""
        return self.run()

    def train(self) -> None:
        """Forward and backward, with gradients of the children and of all parameters."""
        inputs = [self.children.poses, self.children.activations, *self.layer.parameters()]
        torch.autograd.grad(self.run(), inputs, self.gradient, allow_unused=True)


def count_windows(sizes: Sizes) -> int:
    """Number of windows."""
    return ((sizes["side"] - sizes["kernel"]) // sizes["stride"] + 1) ** 2


def count_votes(batch: int, sizes: Sizes) -> float:
    """Megabytes of the votes in float32: whether stored or not."""
    children = sizes["kernel"] ** 2 * sizes["types"]
    return 4 * batch * count_windows(sizes) * children * sizes["parents"] * sizes["parent dim"] / 2**20


def _jobs(name: str, batch: int, sizes: Sizes, device: torch.device) -> Iterator[Job]:
    steps = {label: Step(path, batch, sizes, device) for label, path in find_paths().items()}
    case: dict[str, int | str] = {"layer": name, "batch": batch, **sizes}
    if sizes["side"] == 1:
        case = {key: size for key, size in case.items() if key not in ("side", "kernel", "stride")}
    votes = count_votes(batch, sizes)
    yield Job({**case, "pass": "forward"}, {label: step.infer for label, step in steps.items()}, votes=votes)
    yield Job(
        {**case, "pass": "forward and backward"},
        {label: step.train for label, step in steps.items()},
        memory=lambda label: added_megabytes("routings", label, device, batch, *sizes.values()),
        votes=votes,
    )


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """The paper's class layer, and a convolutional layer."""
    yield from _jobs("dense", 32, DENSE, device)
    if not quick:
        yield from _jobs("dense", 128, DENSE, device)
        yield from _jobs("conv", 16, CONV, device)


def peak_step(label: str, device: torch.device, *numbers: int) -> Step:
    """The step of one path that `capsnet.bench.memory` measures."""
    # libraries allocate memory on first use
    Step(find_paths()[label], 16, _TINY, device).train()
    return Step(find_paths()[label], numbers[0], dict(zip(DENSE, numbers[1:], strict=True)), device)


BENCHES.add("routings", Bench(jobs, "every routing in the same layers: time, and memory compared with the votes"))

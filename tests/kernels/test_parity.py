"""`route_children`, with a kernel where there is one, equals "votes, then forward" for every registered routing."""

import contextlib

import pytest
import torch

from capsnet import kernels
from capsnet.capsules import Capsules
from capsnet.layers import ConvCapsules, DenseCapsules
from capsnet.routing import ROUTINGS

LAYERS = {
    "dense, vectors": lambda **more: DenseCapsules(63, 7, child_dim=5, parent_dim=3, **more),
    "dense, one parent": lambda **more: DenseCapsules(7, 1, child_dim=3, parent_dim=1, **more),
    "dense, matrices": lambda **more: DenseCapsules(7, 3, child_dim=6, parent_dim=4, pose_shape=(2, 3), **more),
    "windows": lambda **more: ConvCapsules(
        3,
        5,
        grid=(5, 7),
        stride=2,
        child_dim=6,
        parent_dim=4,
        pose_shape=(2, 3),
        coordinates=torch.rand(5, 7, 2),
        **more,
    ),
}

# the kernel of dynamic routing leaves fewer than 12 to the plain function
SAMPLES, DRAWS = 17, 5


def make(layer, routing, seed=0):
    """A layer in float64 whose numbers float32 can hold, with no parameter at its start."""
    torch.manual_seed(seed)
    layer = LAYERS[layer](routing=routing)
    with torch.no_grad():
        for parameter in layer.routing.parameters():
            parameter += torch.randn_like(parameter) / 4
    count = layer.num_children if isinstance(layer, DenseCapsules) else layer.grid[0] * layer.grid[1] * 3
    return layer.double(), Capsules(torch.randn(SAMPLES, count, layer.child_dim), torch.rand(SAMPLES, count))


def run(layer, children, *, plain):
    """Results and gradients by name; the plain way is written out here."""
    dtype = layer.weight.dtype
    given = Capsules(*(x.to(dtype).requires_grad_() for x in children[:2]))
    inside, windows = layer.gather(given), layer.windows() if isinstance(layer, ConvCapsules) else None
    if plain:
        out = layer.routing(layer.votes(inside), inside.activations, poses=inside.poses, windows=windows)
    else:
        offsets = getattr(layer, "offsets", None)
        out = layer.routing.route_children(inside, layer.matrices(), offsets=offsets, windows=windows)
    torch.manual_seed(1)
    loss = sum((x * torch.randn(x.shape).to(dtype)).sum() for x in out[:2])
    named = {"poses": given.poses, "activations": given.activations, **dict(layer.named_parameters())}
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    values = {"result: poses": out.poses.detach(), "result: activations": out.activations.detach()}
    return {**values, **dict(zip(named, gradients, strict=True))}


@pytest.fixture(autouse=True)
def _kernels(monkeypatch):
    monkeypatch.delenv("CAPSNET_KERNELS", raising=False)


@contextlib.contextmanager
def new_memory_is_nan():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


cases = pytest.mark.parametrize(("routing", "layer"), [(name, layer) for name in ROUTINGS.names() for layer in LAYERS])


@cases
def test_results_and_every_gradient_equal_the_plain_ones_in_float64(routing, layer):
    layer, children = make(layer, routing)
    expected = run(layer, children, plain=True)
    with new_memory_is_nan():
        found = run(layer, children, plain=False)
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-9, atol=1e-9, msg=lambda words, name=name: f"{name}: {words}"
        )


@cases
def test_error_in_float32_is_at_most_twice_that_of_the_plain_way(routing, layer):
    errors = {}
    for seed in range(DRAWS):
        wide, children = make(layer, routing, seed)
        exact = run(wide, children, plain=True)
        narrow = wide.float()
        plain = run(narrow, children, plain=True)
        with new_memory_is_nan():
            fused = run(narrow, children, plain=False)
        for name, value in exact.items():
            # a gradient that is zero, such as that of a bias before batch normalisation, has no scale
            scale = max(float(value.norm()), 1e-3)
            both = torch.stack([(found[name] - value).norm() / scale for found in (plain, fused)])
            errors.setdefault(name, []).append(both)
    for name, draws in errors.items():
        # the median: the rounding of one ill-conditioned draw says nothing of the rest
        plain, fused = torch.stack(draws).median(dim=0).values.tolist()
        assert fused <= 2 * plain + 1e-7, (name, plain, fused)


@pytest.mark.parametrize(
    ("routing", "kernel"),
    [("em", "infer_mixture"), ("variational-bayes", "infer_mixture"), ("dynamic", "dynamic_routing")],
)
def test_a_kernel_is_compared(routing, kernel, monkeypatch):
    asked, find = {}, kernels.fused

    def note(name, *arguments, **options):
        asked[name] = find(name, *arguments, **options)
        return asked[name]

    monkeypatch.setattr(kernels, "fused", note)
    layer, children = make("dense, vectors", routing)
    run(layer.float(), children, plain=False)
    assert asked[kernel] is not None

"""The kernel against the plain function, through layers that use it."""

import gc

import pytest
import torch
from torch.autograd import forward_ad

from capsnet import kernels
from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.kernels import infer_mixture
from capsnet.layers import ConvCapsules, DenseCapsules

LAYERS = {
    "windows that share children": {"grid": (5, 7), "kernel_size": 3, "stride": 2},
    "windows that compete alone": {"grid": (4, 4), "kernel_size": 3, "routing_options": {"competition": "window"}},
    "one window with coordinates": {
        "grid": (3, 2),
        "kernel_size": None,
        "shared": True,
        "coordinates": torch.rand(3, 2, 2),
    },
    "several windows with coordinates": {"grid": (3, 4), "kernel_size": 2, "coordinates": torch.rand(3, 4, 2)},
    "vectors": {"grid": (3, 3), "kernel_size": 2, "child_dim": 5, "parent_dim": 7, "pose_shape": None},
    "one iteration": {"grid": (3, 3), "kernel_size": 2, "routing_options": {"iterations": 1}},
}


def make(routing, options, dtype):
    torch.manual_seed(0)
    options = {"child_dim": 6, "parent_dim": 4, "pose_shape": (2, 3), **options}
    layer = ConvCapsules(3, 5, routing=routing, dtype=dtype, **options)
    count = options["grid"][0] * options["grid"][1] * 3
    children = Capsules(torch.randn(5, count, options["child_dim"]), torch.rand(5, count))
    return layer, Capsules(*(x.to(dtype).requires_grad_() for x in children[:2]))


def run(mode, layer, children):
    """Results and gradients by name."""
    named = {"poses": children.poses, "activations": children.activations, **dict(layer.named_parameters())}
    with kernels.use(mode):
        out = layer(children)
    torch.manual_seed(1)
    loss = sum((x * torch.randn(x.shape).to(x.dtype)).sum() for x in out[:2])
    gradients = torch.autograd.grad(loss, list(named.values()))
    found = {"found poses": out.poses.detach(), "found activations": out.activations.detach()}
    return {**found, **dict(zip(named, gradients, strict=True))}


@pytest.fixture(params=["all at once", "sample by sample"])
def chunk(request, monkeypatch):
    monkeypatch.setattr(infer_mixture, "_VOTES", 2**19 if request.param == "all at once" else 1)


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("routing", ["em", "variational-bayes"])
@pytest.mark.usefixtures("chunk")
def test_results_and_every_gradient_equal_the_plain_ones(routing, options):
    layer, children = make(routing, options, torch.float64)
    plain, fused = (run(mode, layer, children) for mode in ("plain", "auto"))
    for name, value in plain.items():
        torch.testing.assert_close(
            fused[name], value, rtol=1e-9, atol=1e-9, msg=lambda words, name=name: f"{name}: {words}"
        )


@pytest.mark.parametrize("routing", ["em", "variational-bayes"])
def test_error_in_float32_is_at_most_twice_that_of_the_plain_path(routing):
    layer, children = make(routing, LAYERS["windows that share children"], torch.float64)
    exact = run("plain", layer.float().double(), children)
    layer, children = layer.float(), Capsules(*(x.detach().float().requires_grad_() for x in children[:2]))
    plain, fused = (run(mode, layer, children) for mode in ("plain", "auto"))
    for name, value in exact.items():
        scale = max(float(value.norm()), 1e-3)
        errors = [float((found[name] - value).norm()) / scale for found in (plain, fused)]
        assert errors[1] <= 2 * errors[0] + 1e-7, name


def test_it_is_used_and_stores_no_votes():
    layer, children = make("em", LAYERS["windows that share children"], torch.float32)
    votes = 5 * len(layer.members) * layer.members.shape[1] * 5 * 4
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(children)
    assert 0 < max(kept.values()) < votes


def test_memory_that_was_never_written_is_not_read(monkeypatch):
    layer, children = make("em", LAYERS["several windows with coordinates"], torch.float32)
    expected = run("plain", layer, children)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        found = run("auto", layer, children)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


def test_nothing_of_a_step_stays_in_memory():
    layer, children = make("em", LAYERS["windows that share children"], torch.float32)
    run("auto", layer, children)
    gc.collect()
    assert not [
        x for x in gc.get_objects() if type(x).__name__ in ("ScratchSquares", "ScratchVotes", "_SpreadBackward")
    ]


def test_a_parameter_without_effect_has_a_zero_gradient():
    layer, children = make(
        "variational-bayes", {**LAYERS["vectors"], "routing_options": {"iterations": 2}}, torch.float32
    )
    found = run("auto", layer, children)
    assert found["routing.beta_use"].abs().max() < 1e-5


@pytest.mark.parametrize(
    ("width", "dtype", "words"), [(9, torch.float32, "1 to 8 rows"), (4, torch.bfloat16, "float32, or all of float64")]
)
def test_it_says_what_it_cannot_take(width, dtype, words):
    layer = DenseCapsules(6, 3, child_dim=width, parent_dim=4, routing="em", dtype=dtype)
    children = Capsules(torch.randn(2, 6, width, dtype=dtype), torch.rand(2, 6, dtype=dtype))
    betas = (layer.routing.beta_use, layer.routing.beta_activate)
    assert words in infer_mixture.refuses("em", children, layer.matrices(), betas, layer.routing.options())
    assert layer(children).poses.isfinite().all()


@pytest.mark.parametrize("routing", ["em", "variational-bayes"])
def test_autocast_of_the_caller_changes_nothing(routing):
    layer, children = make(routing, LAYERS["vectors"], torch.float32)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = layer.routing.route_children(layer.gather(children), layer.matrices())
            found.append([out.poses, *torch.autograd.grad(out.poses.sum(), (children.poses, layer.weight))])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("routing", ["em", "variational-bayes"])
def test_a_second_derivative_names_the_remedy(routing):
    layer, children = make(routing, LAYERS["vectors"], torch.float64)
    (gradient,) = torch.autograd.grad(layer(children).poses.sum(), layer.weight, create_graph=True)
    with pytest.raises(UserError, match=r"no second derivative: .*with capsnet\.kernels\.use\('plain'\)"):
        gradient.square().sum().backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
def test_forward_mode_is_left_to_the_plain_function():
    layer, children = make("em", LAYERS["windows that share children"], torch.float64)
    poses = children.poses.detach()
    tangent, small = torch.randn_like(poses), 1e-6
    with torch.no_grad(), forward_ad.dual_level():
        out = layer(children._replace(poses=forward_ad.make_dual(poses, tangent))).poses
        found = forward_ad.unpack_dual(out).tangent
    with torch.no_grad():
        ends = [layer(children._replace(poses=poses + step * tangent)).poses for step in (small, -small)]
    torch.testing.assert_close(found, (ends[0] - ends[1]) / (2 * small), rtol=1e-4, atol=1e-6)


def test_an_empty_batch_is_a_reason_of_its_own():
    layer = DenseCapsules(6, 3, child_dim=4, parent_dim=4, routing="em")
    betas = (layer.routing.beta_use, layer.routing.beta_activate)
    children = Capsules(torch.zeros(0, 6, 4), torch.zeros(0, 6))
    reason = infer_mixture.refuses("em", children, layer.matrices(), betas, layer.routing.options())
    assert reason == "a tensor is empty"
    assert layer(children).poses.shape == (0, 3, 4)

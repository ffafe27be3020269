"""When the fused routing says no, and in which words."""

from types import SimpleNamespace

import pytest
import torch
from torch.autograd import forward_ad

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional import dense_votes
from capsnet.kernels.dynamic_routing import dynamic_routing, op, refuses
from capsnet.routing import DynamicRouting
from capsnet.routing import dynamic_routing as plain

POSES, WEIGHT = torch.zeros(16, 3, 2), torch.zeros(3, 2, 2, 4)


def test_an_ordinary_call_is_taken():
    assert refuses(POSES, WEIGHT, 3, bias=WEIGHT[0, 0], leaky=True, gradient="last") is None


@pytest.mark.parametrize(
    ("poses", "weight", "reason"),
    [
        (POSES.double(), WEIGHT, "several types: torch.float32, torch.float64"),
        (POSES[:0], WEIGHT, "a tensor is empty"),
        (POSES.to("meta"), WEIGHT, "several devices: cpu, meta"),
        (POSES.to("meta"), WEIGHT.to("meta"), "no implementation for meta"),
        (POSES[:3].double(), WEIGHT.double(), "faster for fewer than 12 samples on a CPU"),
        (POSES, WEIGHT[:1], "poses (16, 3, 2), weight (1, 2, 2, 4)"),
        (POSES[:, :2], WEIGHT, "poses (16, 2, 2), weight (3, 2, 2, 4)"),
        (POSES[..., :1], WEIGHT, "poses (16, 3, 1), weight (3, 2, 2, 4)"),
        (POSES.to(torch.float8_e5m2), WEIGHT.to(torch.float8_e5m2), "does not support torch.float8_e5m2"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_refusal_names_the_reason(poses, weight, reason):
    assert reason in refuses(poses, weight)


@pytest.mark.usefixtures("unchecked")
def test_a_bias_that_would_be_broadcast_is_left_to_the_plain_function():
    assert "bias (4,)" in refuses(POSES, WEIGHT, bias=WEIGHT[0, 0, 0])
    routing = DynamicRouting(3, 2, parent_dim=4, bias=True)
    routing.bias = torch.nn.Parameter(torch.rand(4))
    children = Capsules(torch.randn(16, 3, 2), torch.ones(16, 3))
    weight = torch.randn(3, 2, 2, 4)
    expected = plain(dense_votes(children.poses, weight), bias=routing.bias.expand(2, -1))
    torch.testing.assert_close(routing.route_children(children, weight).poses, expected.poses)


def test_more_programs_than_a_gpu_can_number_are_a_reason(monkeypatch):
    monkeypatch.setattr(op, "has_triton", lambda: True)
    shapes = {(70_000, 8, 10, 16): False, (300_000, 8, 100, 16): True, (3, 64, 70_000, 64): True}
    for shape, refused in shapes.items():
        reason = op.cuda_refusal(POSES, torch.empty(shape, device="meta"))
        assert ("more programs than a GPU can number" in (reason or "")) is refused


def test_a_missing_triton_is_a_reason_on_a_gpu(monkeypatch):
    monkeypatch.setattr(op, "has_triton", lambda: False)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        poses, weight = torch.empty(16, 3, 2, device="cuda"), torch.empty(3, 2, 2, 4, device="cuda")
        assert refuses(poses, weight) == "Triton is not installed"


def test_matrices_too_large_for_a_gpu_program_are_a_reason(monkeypatch):
    monkeypatch.setattr(op, "has_triton", lambda: True)
    assert op.cuda_refusal(POSES, torch.empty(3, 64, 2, 64)) is None
    assert "matrices of 65 x 64 numbers do not fit" in op.cuda_refusal(POSES, torch.empty(3, 65, 2, 64))


def test_an_older_gpu_is_a_reason(monkeypatch):
    monkeypatch.setattr(op, "has_triton", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for major, refused in ((7, True), (8, False)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, m=major: SimpleNamespace(major=m))
        assert (op.cuda_refusal(POSES, WEIGHT) is not None) is refused


def test_transforms_of_torch_func_are_left_to_the_plain_function():
    reasons = []

    def probe(poses):
        reasons.append(refuses(poses, WEIGHT))
        return poses.sum()

    torch.func.vmap(probe)(POSES[None])
    torch.func.grad(probe)(POSES)
    assert all("torch.func" in reason for reason in reasons)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
def test_forward_mode_is_left_to_the_plain_function():
    with forward_ad.dual_level():
        assert refuses(POSES, WEIGHT) is None
        dual = forward_ad.make_dual(POSES, torch.ones_like(POSES))
        assert refuses(dual, WEIGHT) == "it has no forward-mode derivative"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_tracing_is_left_to_the_plain_function():
    reasons = []

    def probe(poses):
        reasons.append(refuses(poses, WEIGHT))
        return poses * 2

    torch.jit.trace(probe, POSES, check_trace=False)
    assert "TorchScript" in reasons[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"iterations": 0}, "at least 1, got 0"), ({"gradient": "first"}, "'first'")],
)
@pytest.mark.usefixtures("unchecked")
def test_a_wrong_option_is_the_users_fault(options, message):
    with pytest.raises(UserError, match=message):
        dynamic_routing(POSES, WEIGHT, **options)


def test_a_forced_call_says_why_it_cannot_be():
    with pytest.raises(UserError, match=r"several types.*capsnet\.routing\.dynamic_routing"):
        dynamic_routing(POSES.double(), WEIGHT)

"""Every argument of every model changes something, or is refused; none is ignored."""

import functools
import inspect
from typing import get_args

import pytest
import torch
from tests.models.test_models import SMALL

from capsnet import create_model
from capsnet.errors import UserError
from capsnet.models import MODELS
from capsnet.models.arguments import BOUNDS, ROUTING_ARGUMENTS, resolve_routing
from capsnet.models.factory import model_options
from capsnet.routing import ROUTINGS

# for each argument something that no preset has
OTHER = {
    "image_shape": (1, 40, 44),
    "num_classes": 3,
    "stem_channels": 5,
    "num_types": 5,
    "child_dim": 5,
    "parent_dim": 7,
    "kernel_size": 7,
    "kernel_sizes": (3, 3, 3, 3),
    "strides": (2, 1, 1, 1),
    "padding": "same",
    "routing": "max-min",
    "iterations": 4,
    "routing_bias": True,
    "leaky": True,
    "gradient": "last",
    "routing_options": {"iterations": 5},
    "em_form": "paper",
    "primary_scale": 0.5,
    "primary_kernel": 3,
    "primary_stride": 2,
    "initialisation": "glorot",
    "decoder": True,
    "decoder_hidden": (9, 8),
    "device": "meta",
    "dtype": torch.float64,
    "sizes": (3, 2, 2, 3),
    "stages": ((3, 1, 1), (5, 1, 2)),
    "pose_dims": (3, 5, 5, 5),
    "hidden": (5,),
    "pose_shape": 3,
    "depth": 2,
    "norm": True,
    "coordinates": "none",
    "loss": "margin",
    "schedule": "sequential",
    "channels": (3, 2),
    "pool": True,
    "dropout": 0.25,
    "backbone": torch.nn.Conv2d(3, 4, 3, 2, 1),
    "weights": "backbone.safetensors",
    "frozen": True,
}
PARTICULAR = {
    ("efficient-capsnet-smallnorb", "norm"): "batch",
    ("efficient-capsnet", "norm"): "instance",
    ("efficient-capsnet-multimnist", "norm"): "instance",
    ("efficient-capsnet", "kernel_sizes"): (3, 3, 3, 2),
    ("deepcaps", "loss"): "hard-margin",
    ("deepcaps-small", "loss"): "hard-margin",
    ("vb-capsnet", "initialisation"): "scaled",
    ("vb-capsnet-tiny", "initialisation"): "scaled",
    ("em-capsnet-tiny", "initialisation"): "scaled",
    ("em-capsnet-tiny", "em_form"): "authors",
    ("capsnet-authors", "routing_bias"): False,
    ("efficient-capsnet-multimnist", "primary_stride"): 1,
    ("em-capsnet-tiny", "norm"): False,
    ("vb-capsnet", "norm"): False,
    ("vb-capsnet-tiny", "norm"): False,
    ("baseline-cnn-multimnist", "pool"): False,
    **{(name, "num_types"): (2, 3, 2) for name in MODELS.names("attention*")},
    **{(name, "initialisation"): "authors" for name in ("capsnet", "capsnet-tiny")},
    **{(name, "routing_options"): {"prior": False} for name in MODELS.names("efficient*")},
}
CASES = [(name, option) for name in MODELS.names() for option in model_options(name)]


def other_value(name, option):
    value = PARTICULAR.get((name, option), OTHER[option])
    if option == "decoder" and inspect.signature(MODELS.get(name).build).parameters["decoder"].default:
        return False
    return value


def fingerprint(name, **options):
    """All that tells two models apart: sizes, fresh parameters, what is trained, loss, what they make of an image, and
    gradients. Not what they print: an option may be shown and ignored."""
    torch.manual_seed(0)
    model = create_model(name, **{**SMALL.get(name, {}), **options}).train()
    parameters = model.state_dict()
    sizes = [(key, value.shape, value.device, value.dtype) for key, value in parameters.items()]
    numbers = [0.0 if value.is_meta else value.double().sum().item() for value in parameters.values()]
    trained = [parameter.requires_grad for parameter in model.parameters()]
    output, gradients = None, None
    if not next(model.parameters()).is_meta:
        image = torch.rand(2, *model.input_shape, dtype=options.get("dtype"))
        lengths = model(image).lengths
        # not their sum: a softmax adds up to one
        lengths.square().sum().backward()
        found = [parameter.grad for parameter in model.parameters()]
        output = lengths.tolist()
        gradients = [None if gradient is None else gradient.double().abs().sum().item() for gradient in found]
    return model.input_shape, model.loss, sizes, numbers, trained, output, gradients


@functools.cache
def usual(name):
    return fingerprint(name)


@pytest.mark.parametrize(("name", "option"), CASES)
def test_every_argument_changes_something_or_is_refused(name, option):
    before = usual(name)
    after, refusal = before, None
    try:
        after = fingerprint(name, **{option: other_value(name, option)})
    except UserError as fault:
        refusal = str(fault)
    # a refusal is one of this option
    assert after != before if refusal is None else option in refusal


@pytest.mark.parametrize("routing", ROUTINGS.names())
@pytest.mark.parametrize("argument", ROUTING_ARGUMENTS)
def test_argument_of_a_routing_is_an_option_of_it_or_refused(routing, argument):
    value, option = OTHER[argument], ROUTING_ARGUMENTS[argument]
    if option in inspect.signature(ROUTINGS.get(routing)).parameters:
        assert resolve_routing(routing, **{argument: value}) == {option: value}
    else:
        with pytest.raises(UserError, match=f"{argument} must be left out, got {value!r}"):
            resolve_routing(routing, **{argument: value})


def test_arguments_and_routing_options_become_one_routing():
    model = create_model("capsnet-tiny", iterations=5, leaky=True, routing_options={"bias": True})
    routing = model.class_capsules.routing
    assert (routing.iterations, routing.leaky, routing.bias is not None) == (5, True, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iterations": 5, "routing_options": {"iterations": 2}}, "iterations=5 and routing_options.* contradict"),
        ({"leaky": False, "routing_options": {"leaky": True}}, "leaky=False and routing_options.* contradict"),
        ({"routing": "em", "gradient": "last"}, "gradient must be left out, got 'last'"),
        ({"routing_options": {"itertions": 2}}, "has no option 'itertions'; did you mean 'iterations'"),
        ({"routing_options": {"iterations": float("nan")}}, "iterations must be a whole number, got nan"),
        ({"decoder": "no"}, "decoder must be True or False, got 'no'"),
        ({"gradient": "lst"}, "gradient must be 'full' or 'last', got 'lst'"),
    ],
)
def test_options_that_contradict_or_are_unknown_are_refused_by_name(options, words):
    with pytest.raises(UserError, match=words):
        create_model("capsnet-tiny", **options)


def holds_numbers(kind):
    return kind in (int, float) or any(holds_numbers(part) for part in get_args(kind))


# one model of each class
NUMBERS = [
    (name, key)
    for name in {MODELS.get(name).build: name for name in MODELS.names()}.values()
    for key, parameter in inspect.signature(MODELS.get(name).build).parameters.items()
    if holds_numbers(parameter.annotation)
]


def test_every_number_of_every_model_has_bounds():
    assert {key for _, key in NUMBERS} <= set(BOUNDS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 2**70, True])
@pytest.mark.parametrize(("name", "key"), NUMBERS)
def test_number_out_of_bounds_is_refused_by_name(name, key, value):
    if key == "primary_scale" and value == -1:
        return
    parameter = inspect.signature(MODELS.get(name).build).parameters[key]
    start = MODELS.get(name).options.get(key, parameter.default)
    given = (value, *start[1:]) if isinstance(start, tuple) else value
    with pytest.raises(UserError, match=f"{key} must be "):
        create_model(name, **{key: given})

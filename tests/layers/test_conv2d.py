"""Convolutions of the registry's models, their gradients, and the memory that they write to."""

import json
import os
import subprocess
import sys
from ctypes.util import find_library

import pytest
import torch
from tests.models.test_models import make
from torch.utils._python_dispatch import TorchDispatchMode

from capsnet import list_models
from capsnet.functional import conv2d
from capsnet.layers import Conv2d

DEBUG = "libc_malloc_debug.so.0"

SCRIPT = """
import json, sys, torch
convolution = torch.ops.aten.convolution.default
torch.manual_seed(0)
for image, weight, rest in json.loads(sys.argv[1]):
    x, w = torch.randn(3, *image), torch.randn(weight)
    x, w = (t.to(memory_format=torch.channels_last).requires_grad_() for t in (x, w))
    exact = [t.detach().double().requires_grad_() for t in (x, w)]
    expected = convolution(*exact, None, *rest)
    gradient = torch.randn_like(expected)
    expected = torch.autograd.grad(expected, exact, gradient)
    # again and again: a block that was overrun is seen when it is freed
    for _ in range(3):
        got = torch.autograd.grad(convolution(x, w, None, *rest), (x, w), gradient.float())
        for a, b in zip(got, expected):
            # float32 sums of up to 20,000 products
            assert (a - b).abs().max() < 2e-5 * b.abs().max(), (image, weight, rest)
"""


class Convolutions(TorchDispatchMode):
    """Collects the shapes of images and weights, and the other arguments, of the convolutions that run."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default:
            image, weight, _, *rest = args
            call = [list(image.shape[1:]), list(weight.shape), rest]
            self.found[json.dumps(call)] = call
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def convolutions():
    """Those of the models in their small sizes and of their layers' own calls: no list of them here."""
    collected = Convolutions()
    for name in list_models():
        for size in ((1, 36, 36), (4, 40, 40)):
            model = make(name, image_shape=size)
            with collected, torch.no_grad():
                out = model(torch.rand(2, *size))
                if model.decoder is not None:
                    model.reconstruct(out.capsules)
    assert len(collected.found) > 30
    return list(collected.found.values())


@pytest.mark.skipif(find_library("c_malloc_debug") is None, reason=f"needs glibc's {DEBUG}")
@pytest.mark.parametrize("instructions", ["AVX2", "DEFAULT"])
def test_gradients_of_all_convolutions_of_the_models_write_where_they_may(instructions, convolutions):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ONEDNN_MAX_CPU_ISA": instructions,
        "LD_PRELOAD": DEBUG,
        "GLIBC_TUNABLES": "glibc.malloc.check=3",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(convolutions)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("padding", "groups", "stride"), [(0, 1, 2), (1, 2, (2, 3)), ((1, 0), 1, (1, 2))])
def test_strided_windows_of_one_place_give_what_torch_gives(padding, groups, stride):
    x, weight = torch.randn(2, 8, 7, 6, dtype=torch.float64), torch.randn(4, 8 // groups, 1, 1, dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(x, weight, bias, stride, padding, groups=groups)
    torch.testing.assert_close(conv2d(x, weight, bias, stride, padding, groups), expected)


def test_layer_has_the_parameters_and_results_of_torchs():
    torch.manual_seed(1)
    ours = Conv2d(8, 6, 1, 2)
    torch.manual_seed(1)
    theirs = torch.nn.Conv2d(8, 6, 1, 2)
    for name, value in theirs.state_dict().items():
        assert ours.state_dict()[name].equal(value)
    images = torch.randn(2, 8, 9, 9)
    torch.testing.assert_close(ours(images), theirs(images))


def test_an_image_without_a_batch_axis_is_read(unchecked):
    layer, image = Conv2d(4, 6, 1, stride=2), torch.rand(4, 7, 7)
    torch.testing.assert_close(layer(image), layer(image[None])[0])

"""What a capsule layer keeps for the backward pass, in units of its votes."""

import pytest
import torch

from capsnet import kernels
from capsnet.capsules import Capsules
from capsnet.layers import ConvCapsules, DenseCapsules

# routings that promise it; of the two with distances from a mean, with activation checkpointing
LEAN = [
    "dynamic",
    "em",
    "inverted-dot-product",
    "max-min",
    "self-attention",
    "self-routing",
    "uniform",
    "variational-bayes",
]
SIZES = {"child_dim": 16, "parent_dim": 16}


def layers(name, rows):
    options = {"recompute": True} if name in ("em", "variational-bayes") else {}
    more = {
        **SIZES,
        "pose_shape": (rows, 16 // rows) if rows > 1 else None,
        "routing": name,
        "routing_options": options,
    }
    yield DenseCapsules(64, 8, **more), Capsules(torch.randn(8, 64, 16), torch.rand(8, 64))
    coordinates = torch.rand(4, 4, 2)
    conv = ConvCapsules(8, 8, grid=(4, 4), kernel_size=3, coordinates=coordinates, **more)
    yield conv, Capsules(torch.randn(4, 128, 16), torch.rand(4, 128))


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("name", LEAN)
def test_layer_keeps_its_votes_not_twice(name, rows):
    for layer, children in layers(name, rows):
        inside, kept = layer.gather(children), {}
        own = {parameter.untyped_storage().data_ptr() for parameter in layer.parameters()}

        def keep(tensor, kept=kept):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage
            return tensor

        with kernels.use("plain"), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            layer(Capsules(children.poses.requires_grad_(), children.activations))
        stored = sum(storage.nbytes() for pointer, storage in kept.items() if pointer not in own)
        assert stored < 2 * 4 * layer.votes(inside).numel()

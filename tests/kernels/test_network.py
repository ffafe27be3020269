"""What the fused kernels do to a whole training step of the paper's network."""

import copy

import pytest
import torch
from torch import Tensor, nn

from capsnet import create_model, kernels
from capsnet.data import load_data
from capsnet.kernels import strided_conv
from capsnet.training.batches import Batch
from capsnet.training.objective import find_losses

STEPS, BATCH, DRAWS = 4, 32, 3


def gradients(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    model = copy.deepcopy(model).to(batch.inputs.dtype)
    find_losses(model, batch, 0.0005).total.backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad.double() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_every_gradient_is_within_twice_the_plain_paths_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPSNET_KERNELS", raising=False)
    monkeypatch.setattr(strided_conv, "least_images", lambda type_name, compiled: BATCH)
    digits = load_data("digits").train
    pictures = digits.images.float() / 255
    batches = [
        Batch(pictures[first : first + BATCH], digits.labels[first : first + BATCH], pictures[first : first + BATCH])
        for first in range(0, (STEPS + DRAWS) * BATCH, BATCH)
    ]
    # as the paper's, with a quarter of its channels
    model = create_model("capsnet", stem_channels=64, num_types=8)
    weight = model.primary_capsules.conv.weight
    assert strided_conv.refuses(torch.zeros(BATCH, 64, 20, 20), weight, None, 2) is None
    # at its random start the network's sums cancel, and the fast convolution's error is up to 2.8 times the plain one's
    optimizer = torch.optim.Adam(model.parameters())
    for batch in batches[:STEPS]:
        optimizer.zero_grad()
        find_losses(model, batch, 0.0005).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    errors: dict[str, list[Tensor]] = {}
    for batch in batches[STEPS:]:
        with kernels.use("plain"):
            exact = gradients(model, Batch(batch.inputs.double(), batch.labels, batch.targets.double()))
            plain = gradients(model, batch)
        torch.use_deterministic_algorithms(True)  # new memory is filled with NaN
        try:
            fused = gradients(model, batch)
        finally:
            torch.use_deterministic_algorithms(False)
        for name, expected in exact.items():
            found = torch.stack([(path[name] - expected).norm() / expected.norm() for path in (plain, fused)])
            errors.setdefault(name, []).append(found)
    assert len(errors) == len(list(model.parameters()))
    # the median: where rounding takes one number over the edge of a ReLU, that draw says nothing of the rest
    medians = {name: torch.stack(found).median(0).values for name, found in errors.items()}
    ratios = {name: float(fused / plain) for name, (plain, fused) in medians.items()}
    assert all(ratio < 2 for ratio in ratios.values()), ratios

"""One implementation in a process of its own: builds its network, then trains as many steps as it is asked for.

It prints `ready`, then for each number of steps that it reads the seconds that they took. The network, its loss and its
optimiser are the checkout's own; nothing of it is in this repository.
"""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

CLASSES = 10
Step = Callable[[], object]


def make_batch(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images `b 28 28` in [0, 1] and labels `b`: the time of a step does not depend on what they show."""
    draw = np.random.default_rng(0)
    return draw.random((batch, 28, 28), dtype=np.float32), draw.integers(0, CLASSES, batch)


def capsnet(checkout: Path, batch: int, precision: str = "fp32") -> Step:
    """This package: the whole step, with its augmentation."""
    import torch

    from capsnet import RunConfig
    from capsnet.data import ImageData
    from capsnet.data.inputs import Inputs
    from capsnet.data.transforms import Shift
    from capsnet.models import create_model
    from capsnet.training.batches import Batches
    from capsnet.training.step import Step as Training

    images, labels = make_batch(batch)
    data = ImageData(torch.from_numpy(images[:, None] * 255).byte(), torch.from_numpy(labels), tuple("0123456789"))
    batches = Batches(data, Inputs((1, 28, 28)), [Shift(2)])
    config = RunConfig.from_options("sabour2017-mnist", batch_size=batch)
    step = Training(create_model("capsnet"), batches, config, precision)
    order, draws = batches.plan_epoch(0, 0)
    return lambda: step(order, draws, 1e-3)


def capsnet_bf16(checkout: Path, batch: int) -> Step:
    """This package in bfloat16."""
    return capsnet(checkout, batch, "bf16")


def capsnet_keras(checkout: Path, batch: int) -> Step:
    """XifengGuo/CapsNet-Keras, branch tf2.2, on TensorFlow with TF_USE_LEGACY_KERAS=1."""
    sys.path.insert(0, str(checkout))
    import capsulenet
    from tensorflow.keras import optimizers

    model, _, _ = capsulenet.CapsNet((28, 28, 1), CLASSES, routings=3, batch_size=batch)
    losses = [capsulenet.margin_loss, "mse"]
    model.compile(optimizers.Adam(1e-3), losses, loss_weights=[1.0, 0.392], metrics={"capsnet": "accuracy"})
    images, labels = make_batch(batch)
    images, targets = images[..., None], np.eye(CLASSES, dtype=np.float32)[labels]
    return lambda: model.train_on_batch([images, targets], [targets, images])


def capsnet_pytorch(checkout: Path, batch: int) -> Step:
    """XifengGuo/CapsNet-Pytorch; what it moves to a GPU stays on the CPU."""
    import torch

    sys.path.insert(0, str(checkout))
    torch.Tensor.cuda = lambda tensor, *arguments, **options: tensor  # type: ignore[method-assign,assignment]
    # it loads data by torchvision; none is needed here
    for name in ("torchvision", "torchvision.transforms", "torchvision.datasets"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]
    sys.modules["torchvision"].datasets = sys.modules["torchvision.datasets"]  # type: ignore[attr-defined]
    import capsulenet

    model = capsulenet.CapsuleNet([1, 28, 28], CLASSES, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, labels = (torch.from_numpy(array) for array in make_batch(batch))
    inputs, targets = images[:, None], torch.eye(CLASSES)[labels]

    def step() -> None:
        optimizer.zero_grad()
        lengths, drawn = model(inputs, targets)
        capsulenet.caps_loss(targets, lengths, inputs, drawn, 0.392).backward()
        optimizer.step()

    return step


def readable_capsnet(checkout: Path, batch: int) -> Step:
    """arogozhnikov/readable_capsnet; the steps of its train.py, which is a script that cannot be imported."""
    import torch

    sys.path.insert(0, str(checkout))
    # its module has the name of this package
    sys.modules.pop("capsnet", None)
    from capsnet import Decoder, Encoder

    sizes = {"n_primary_caps_groups": 32, "primary_caps_dim": 8, "n_digit_caps": CLASSES, "digit_caps_dim": 16}
    encoder = Encoder(in_h=28, in_w=28, in_c=1, **sizes)
    decoder = Decoder(n_caps=CLASSES, caps_dim=16, output_h=28, output_w=28, output_channels=1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    images, labels = (torch.from_numpy(array) for array in make_batch(batch))
    inputs, targets = images[:, None], torch.eye(CLASSES)[labels]

    def step() -> None:
        capsules = encoder(inputs)
        lengths = capsules.norm(dim=2)
        present, absent = (0.9 - lengths).clamp(min=0) ** 2, (lengths - 0.1).clamp(min=0) ** 2
        loss = (targets * present + 0.5 * (1 - targets) * absent).sum(1).mean()
        loss = loss + 10.0 * (inputs - decoder(capsules * targets[:, :, None])).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main(name: str, checkout: str, batch: int) -> None:
    """Build, warm up, and serve."""
    step = {
        "capsnet": capsnet,
        "capsnet-bf16": capsnet_bf16,
        "CapsNet-Keras": capsnet_keras,
        "CapsNet-Pytorch": capsnet_pytorch,
        "readable_capsnet": readable_capsnet,
    }[name](Path(checkout), batch)
    for _ in range(2):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        before = perf_counter()
        for _ in range(int(line)):
            step()
        print(json.dumps(perf_counter() - before), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

"""Train one small network on MNIST with each routing, and write what its coupling does to docs/routings/pictures.

Same network, images, order and steps for all, each with the loss of its paper; one seed. Every NAME.json holds the test
accuracy and, for a few test digits, which places feed the two most active classes after each iteration;
docs/routing_pictures.py draws them.

    python docs/routing_models.py [NAME...]        minutes on one core; needs MNIST
"""

import copy
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from capsnet.bench.machine import describe
from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.data import ImageData, load_data
from capsnet.figures.coupling import find_grid
from capsnet.layers import DenseCapsules, PrimaryCapsules
from capsnet.losses.class_loss import class_loss
from capsnet.models.grid import Grid
from capsnet.models.model import CapsuleModel
from capsnet.routing import ROUTINGS

FOLDER = Path(__file__).parent / "routings" / "pictures"
STEPS, BATCH, SEED, TESTED = 250, 32, 0, 2000
# the first test image of each of these classes
SHOWN = (7, 4, 3)


class Setting(NamedTuple):
    """What is not the same for all routings: the loss that its paper trains by, arguments, and Adam's learning rate."""

    loss: str = "margin"
    options: dict[str, object] = {}
    rate: float = 2e-3


SETTINGS = {
    "em": Setting("spread", {"variance": 0.3, "batch_norm": True}),
    "variational-bayes": Setting("length-cross-entropy"),
    # its class layer is a mean over all children, and moves slowly: the learning rate whose training loss was lower
    "self-routing": Setting("likelihood", rate=1e-2),
    "inverted-dot-product": Setting("cross-entropy"),
}


class SmallCapsNet(CapsuleModel):
    """Two 5x5 convolutions, 8 capsules of 8 numbers at each of 10x10 places, a capsule of 16 numbers for each class.

    Classes of a routing without activations are read by one linear map of the poses.
    """

    def __init__(self, routing: str, setting: Setting) -> None:
        super().__init__((1, 28, 28), 10)
        self.loss, self.grid = setting.loss, Grid(10, 10, step=2.0, first=4.5, window=9)
        self.stem = nn.Conv2d(1, 32, 5)
        self.primary_capsules = PrimaryCapsules(32, 8, kernel_size=5)
        self.class_capsules = DenseCapsules(800, 10, routing=routing, routing_options=setting.options)
        self.read = None if self.class_capsules.routing.activates else nn.Linear(16, 1)

    def primary(self, images: Tensor) -> Capsules:
        """The primary capsules of images."""
        return self.primary_capsules(self.stem(images).relu())

    def classes(self, routed: RoutingOutput) -> CapsNetOutput:
        """Class capsules as the model's output."""
        if self.read is None:
            return CapsNetOutput(Capsules(routed.poses, routed.activations), routed.activations, routed.coupling)
        logits = self.read(routed.poses)
        return CapsNetOutput(Capsules(logits, routed.activations), logits[..., 0].softmax(dim=1), routed.coupling)

    def forward(self, images: Tensor) -> CapsNetOutput:
        """Class capsules of images."""
        return self.classes(self.class_capsules(self.primary(images)))


def train(routing: str, data: ImageData) -> SmallCapsNet:
    """Some steps of Adam over images in an order that is the same for every routing."""
    torch.manual_seed(SEED)
    setting = SETTINGS.get(routing, Setting())
    model = SmallCapsNet(routing, setting)
    optimiser = torch.optim.Adam(model.parameters(), setting.rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, STEPS)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(SEED))
    for step in range(STEPS):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        loss = class_loss(model.loss, model(data.images[chosen] / 255), data.labels[chosen]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 49:
            print(f"{routing} step {step + 1}: loss {loss:.4f}", file=sys.stderr)
    return model.eval()


@torch.no_grad()
def test(model: SmallCapsNet, data: ImageData) -> float:
    """Share of the first test images that are classified correctly."""
    images, labels = data.images[:TESTED].split(250), data.labels[:TESTED].split(250)
    correct = [model(part / 255).lengths.argmax(dim=1) == truth for part, truth in zip(images, labels, strict=True)]
    return float(torch.cat(correct).float().mean())


@torch.no_grad()
def watch(model: SmallCapsNet, image: Tensor) -> dict[str, object]:
    """What feeds the two most active classes of the last iteration, after each iteration.

    Shapes:
        image `c h w`; `feeds`: iteration, winner or runner-up, row, column. It is coupling times the child's
        activation, summed over the capsules of a place, in units of what a class gets from a place of mean activity
        where every class gets the same share.
    """
    children, layer = model.primary(image[None] / 255), model.class_capsules
    outputs = []
    for count in range(1, (layer.routing.iterations or 1) + 1):
        cut = copy.copy(layer.routing)
        cut.iterations = count  # type: ignore[assignment]
        outputs.append(cut(layer.votes(children), children.activations, poses=children.poses))
    lengths = [model.classes(routed).lengths[0] for routed in outputs]
    pair = lengths[-1].topk(2).indices
    inputs = [routed.coupling * children.activations[..., None] for routed in outputs]
    unit = children.activations.sum() / (100 * 10)
    feeds = torch.stack([each[0].reshape(10, 10, 8, 10).sum(dim=2)[..., pair] / unit for each in inputs])  # t y x 2
    return {
        "classes": pair.tolist(),
        "activations": _rounded(torch.stack(lengths)[:, pair]),
        "activity": _rounded(children.activations.reshape(10, 10, 8).sum(dim=2) / (10 * unit)),
        "feeds": _rounded(feeds.permute(0, 3, 1, 2)),
    }


def _rounded(values: Tensor) -> list[object]:
    return torch.round(values, decimals=4).double().mul(1e4).round().div(1e4).tolist()


def main(names: list[str]) -> None:
    """Train and write."""
    data = load_data("mnist")
    shown = [int((data.test.labels == label).nonzero()[0, 0]) for label in SHOWN]
    for name in names or ROUTINGS.names():
        began = time.perf_counter()
        model = train(name, data.train)
        seconds = time.perf_counter() - began
        setting = SETTINGS.get(name, Setting())
        record = {
            "routing": name,
            "training": {**setting._asdict(), "steps": STEPS, "batch": BATCH},
            "seed": SEED,
            "seconds": round(seconds, 1),
            "accuracy": test(model, data.test),
            "tested": TESTED,
            "machine": describe(torch.device("cpu")),
            "grid": list(find_grid(model)),
            "digits": [
                {
                    "index": index,
                    "label": int(data.test.labels[index]),
                    "pixels": data.test.images[index, 0].tolist(),
                    **watch(model, data.test.images[index]),
                }
                for index in shown
            ],
        }
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.json").write_text(json.dumps(record) + "\n")
        print(name, f"{record['accuracy']:.4f}", f"{seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

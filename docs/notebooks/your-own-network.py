# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A routing in your own network
#
# Capsule layers are modules like any other. Here is a network that the package does not have, with a convolutional
# capsule layer in the middle, trained with two routings and the control that every claim about routing needs.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import capsnet
from capsnet.data import load_data
from capsnet.figures.style import BLUE, GREY, ORANGE
from capsnet.layers import ConvCapsules, DenseCapsules, PrimaryCapsules

STEPS = 250

# %% [markdown]
# ## The network
#
# 28x28 pixels become 5x5 places with 4 kinds of capsule each, then 3x3 places with 8 kinds, then one capsule for each
# class. Both upper layers take any routing by its name.


# %%
class Small(nn.Module):
    """Three layers of capsules above one convolution."""

    def __init__(self, routing: str) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 24, 5, stride=2), nn.ReLU())
        self.primary = PrimaryCapsules(24, num_types=4, pose_dim=8, kernel_size=3, stride=2)
        self.parts = ConvCapsules(4, 8, grid=(5, 5), kernel_size=3, child_dim=8, parent_dim=8, routing=routing)
        self.classes = DenseCapsules(3 * 3 * 8, 10, child_dim=8, parent_dim=16, routing=routing)

    def forward(self, images):
        return self.classes(self.parts(self.primary(self.stem(images))))


network = Small("dynamic")
print(network)

# %% [markdown]
# ## Train it
#
# `capsnet.train` takes the module as it is: its output has class capsules and their lengths, and that is all it needs.
# All networks see the same images, shifts and first weights. What comes back is a run: a folder with the best weights
# on held-out images, the learning curve and the test result.

# %%
folder = Path(tempfile.mkdtemp())


def train(routing):
    """A run of the network with this routing."""
    torch.manual_seed(0)
    return capsnet.train(
        model=Small(routing), data="digits", out=folder / routing, steps=STEPS, batch_size=32, lr=3e-3, shift=1
    )


runs = {routing: train(routing) for routing in ("uniform", "dynamic", "max-min")}
for routing, run in runs.items():
    tested = capsnet.Evaluation.from_dict(run.evaluation()["test"])
    low, high = tested.error_interval
    print(f"{routing:8} test error {tested.error_percent:5.2f} %   95 %: {low:.2f} to {high:.2f} %")

# %% [markdown]
# `uniform` gives every parent the same share of every child: it is no routing at all. Where the intervals overlap, as
# intervals of one seed and some hundred test digits mostly do, nothing is shown; `capsnet reproduce` runs several seeds
# and tests the difference.

# %%
figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
for (routing, run), color in zip(runs.items(), (GREY, BLUE, ORANGE), strict=True):
    rows = run.metrics()
    axes.plot([row["step"] for row in rows], [row["margin_loss"] for row in rows], color=color, label=routing)
axes.set(xlabel="step", ylabel="margin loss", ylim=(0, None))
_ = axes.legend(frameon=False)

# %% [markdown]
# ## Where do the children go?
#
# The class layer has one window and therefore shows its coupling: a row for each of the 72 capsules below, a column for
# each class. Uniform coupling is 0.1 everywhere. The weights of a network of your own are loaded into an object of its
# class.

# %%
images = load_data("digits").test.images[:100]
with torch.no_grad():
    for routing, run in runs.items():
        model = run.load_model(Small(routing))
        coupling = model(model.inputs(images)).coupling
        print(f"{routing:8} largest share of a child: {coupling.amax(dim=2).mean():.3f} on average")

# %% [markdown]
# `capsnet.train(model=..., data=capsnet.Dataset.from_arrays(images, labels))` trains it on arrays of your own.
#
# Next: [write a routing of your own](../tutorials/researcher.md), and put its name into the loop above.

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
import matplotlib.pyplot as plt
import torch
from torch import nn

from capsnet.analysis.statistics import wilson
from capsnet.data import load_data
from capsnet.data.transforms.shift import draw_shifts, shift_images
from capsnet.figures.style import BLUE, GREY, ORANGE
from capsnet.layers import ConvCapsules, DenseCapsules, PrimaryCapsules
from capsnet.losses import margin_loss

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
# An ordinary loop. All routings see the same images, shifts and first weights.

# %%
digits = load_data("digits")


def train(routing):
    """The network after some steps, and the means of its loss over each tenth of them."""
    torch.manual_seed(0)
    network, generator = Small(routing), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(STEPS):
        chosen = torch.randint(len(digits.train), (32,), generator=generator)
        images = shift_images(digits.train.images[chosen], draw_shifts(32, 1, generator)).float() / 255
        loss = margin_loss(network(images).activations, digits.train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return network, losses


def right(network):
    """How many test digits are right."""
    with torch.no_grad():
        lengths = network(digits.test.images.float() / 255).activations
    return int((lengths.argmax(dim=1) == digits.test.labels).sum())


networks, curves = {}, {}
for routing in ("uniform", "dynamic", "max_min"):
    networks[routing], curves[routing] = train(routing)
    share = wilson(right(networks[routing]), len(digits.test))
    print(f"{routing:8} {100 * share['share']:5.1f} %   95 %: {100 * share['low']:.1f} to {100 * share['high']:.1f} %")

# %% [markdown]
# `uniform` gives every parent the same share of every child: it is no routing at all. Where the intervals overlap, as
# intervals of one seed and some hundred test digits mostly do, nothing is shown; `capsnet reproduce` runs several seeds
# and tests the difference.

# %%

figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
for (routing, losses), color in zip(curves.items(), (GREY, BLUE, ORANGE), strict=True):
    means = torch.tensor(losses)[: STEPS // 10 * 10].reshape(10, -1).mean(dim=1)
    axes.plot(torch.arange(1, 11) * (STEPS // 10), means, color=color, label=routing)
axes.set(xlabel="step", ylabel="margin loss", ylim=(0, None))
_ = axes.legend(frameon=False)

# %% [markdown]
# ## Where do the children go?
#
# The class layer has one window and therefore shows its coupling: a row for each of the 72 capsules below, a column for
# each class. Uniform coupling is 0.1 everywhere.

# %%
with torch.no_grad():
    for routing, network in networks.items():
        coupling = network(digits.test.images[:100].float() / 255).coupling
        print(f"{routing:8} largest share of a child: {coupling.amax(dim=2).mean():.3f} on average")

# %% [markdown]
# Next: [write a routing of your own](../tutorials/researcher.md), and put its name into the loop above.

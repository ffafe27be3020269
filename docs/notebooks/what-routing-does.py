# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What routing does
#
# Routing by agreement should assign each part to its whole. Does it? This notebook trains a small network, in well
# under a minute on one core, and measures where its capsules go in each iteration, how sharply, and whether the
# predicted class changes without routing.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import capsnet
from capsnet.analysis import ANALYSES, analyse
from capsnet.analysis.iterations import make_votes, route
from capsnet.analysis.routing import t_score
from capsnet.analysis.watch import find_class_layer, watch
from capsnet.data import load_data
from capsnet.figures.style import BLUE, GREY, ORANGE, PALE

EPOCHS = 12
config = capsnet.RunConfig.from_options(
    data="digits", model="capsnet-tiny", epochs=EPOCHS, batch_size=32, lr=4e-3, schedule="one-cycle", shift=1
)
run = capsnet.train(config, out=Path(tempfile.mkdtemp()) / "digits")
model = capsnet.load(run.folder)
digits = load_data("digits")

# %% [markdown]
# ## Coupling over iterations
#
# The network's own votes of one image, routed with other numbers of iterations and nothing else changed. Each line is
# one class: its mean share of the capsules below. At one iteration every class has the same.

# %%
one = digits.test.select(torch.tensor([0]))
layer = find_class_layer(model)
counts = (1, 2, 3, 4, 5, 7, 10)
with torch.no_grad():
    (batch,) = watch(model, one)
    votes, children = make_votes(layer, batch.children), layer.gather(batch.children)
    couplings = [route(layer.routing, votes, children, count).coupling[0] for count in counts]

shares = torch.stack([coupling.mean(dim=0) for coupling in couplings])  # iteration n
figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
for k in range(10):
    is_label = k == int(one.labels)
    axes.plot(counts, shares[:, k], color=BLUE if is_label else PALE, linewidth=2.4 if is_label else 1.2)
axes.set(xlabel="routing iterations", ylabel="mean share", title=f"Where the parts of a {int(one.labels)} go (blue)")
_ = axes.set_ylim(0, None)

# %% [markdown]
# ## How sharply: the T-score
#
# It is 0 where a capsule is divided evenly among the classes and 1 where all of it goes to one: $T = 1 - H / \ln J$,
# with the entropy $H$ of the coupling and $J$ classes.

# %%
for count, coupling in zip(counts, couplings, strict=True):
    print(f"{count:2} iterations: T-score {t_score(coupling[None]).mean():.4f}")

# %%
record = analyse(model, digits, "routing", limit=200)
print(ANALYSES.get("routing").say(record["results"]))
print()
print("Caution:", ANALYSES.get("routing").caution)

# %% [markdown]
# ## Does the class depend on it?
#
# The same over many images: how many change their class when only the number of iterations changes, and when the
# shares are drawn at random.

# %%
results = analyse(model, digits, "iterations", limit=200)["results"]
for step in results["steps"]:
    mark = "  trained with" if step["iterations"] == results["own"] else ""
    flipped = step["flipped_from_own"]["share"]
    print(
        f"{step['iterations']:2}: {100 * step['accuracy']['share']:.1f} % correct, {100 * flipped:.1f} % flipped{mark}"
    )
print(f"random shares: {100 * results['random']['accuracy']['share']:.1f} % correct")

# %% [markdown]
# One iteration gives even shares, which is no routing. If it is correct about as often as the others, the votes
# determine the class, and routing mainly sharpens the answer; Paik, Kwak and Kim (2019) report this of large
# networks too.
#
# ## Robustness
#
# Accuracy on the same images, rotated, shifted, scaled and with noise; the orange line is the accuracy of guessing.

# %%
robustness = analyse(model, digits, "robustness", limit=100, quick=True)["results"]
figure, panels = plt.subplots(1, 4, figsize=(9, 2.6), sharey=True, layout="constrained")
for axes, curve in zip(panels, robustness["curves"], strict=True):
    accuracy = curve["accuracy"]
    low, high = ([share[key] for share in accuracy] for key in ("low", "high"))
    axes.fill_between(curve["values"], low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(curve["values"], [share["share"] for share in accuracy], "o-", color=BLUE, markersize=3)
    axes.axhline(robustness["chance"], color=ORANGE, linewidth=1)
    axes.axvline(curve["neutral"], color=GREY, linewidth=0.6, linestyle=":")
    axes.set(title=curve["name"], ylim=(0, 1.02))
_ = panels[0].set_ylabel("accuracy")

# %%
print(ANALYSES.get("robustness").say(robustness))
print()
print("Caution:", ANALYSES.get("robustness").caution)

# %% [markdown]
# `capsnet analyse RUN` does all of this, and attacks, dead capsules, mistakes and samples besides, for any run.

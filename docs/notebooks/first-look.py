# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first look
#
# A small capsule network, trained here in well under a minute on one core on digits that come with scikit-learn: what
# lengths its capsules have, what the decoder draws from them, and what happens when one number of a capsule changes.

# %%
import tempfile
from pathlib import Path

import torch
from PIL import Image

import capsnet
from capsnet.data import load_data
from capsnet.figures.manipulation import manipulate
from capsnet.figures.tiles import montage, to_tiles

EPOCHS = 12
config = capsnet.RunConfig.from_options(
    data="digits", model="capsnet-tiny", epochs=EPOCHS, batch_size=32, lr=4e-3, schedule="one-cycle", shift=1
)
run = capsnet.train(config, out=Path(tempfile.mkdtemp()) / "digits")
tested = run.evaluation()["test"]
print(f"{100 * tested['accuracy']:.1f} % of {tested['n']} held-out digits are classified correctly")

# %% [markdown]
# A run is a folder. `capsnet.load` takes it, or its weights file alone, and gives the model.

# %%
model = capsnet.load(run.folder)
test = load_data("digits").test
images, labels = test.images[:10].float() / 255, test.labels[:10]
with torch.no_grad():
    output = model(images)

# %% [markdown]
# ## Lengths
#
# There is one capsule for each class. Its length tells how present the class is; lengths need not sum to
# one, and several may be long.

# %%
print("shown  " + "  ".join(f"{name:>4}" for name in model.class_names))
for label, lengths in zip(labels.tolist(), output.lengths.tolist(), strict=True):
    print(f"{label:5}  " + "  ".join(f"{length:4.2f}" for length in lengths))

# %% [markdown]
# ## What a capsule draws
#
# The decoder gets one capsule, the longest, and draws the digit from its 16 numbers. Above the images, below the
# drawings.


# %%
def picture(images, columns, zoom=3):
    """Images beside and below each other."""
    sheet = Image.fromarray(montage(to_tiles(images), columns))
    return sheet.resize((zoom * sheet.width, zoom * sheet.height), Image.Resampling.NEAREST)


with torch.no_grad():
    drawn = model.reconstruct(output.capsules)
picture(torch.cat([images, drawn]), columns=10)

# %% [markdown]
# ## Another class's capsule
#
# The other capsules are short, because training does not make them describe this image. Here the decoder draws the
# first digit from each of them.

# %%
first = capsnet.Capsules(output.capsules.poses[:1].expand(10, -1, -1), output.capsules.activations[:1].expand(10, -1))
with torch.no_grad():
    forced = model.reconstruct(first, torch.arange(10))
picture(forced, columns=10)

# %% [markdown]
# ## Move a dimension
#
# Each row moves one of the 16 numbers of the winning capsule from -0.25 to 0.25, in steps of 0.05; the middle column is
# the capsule as it is. Nothing in training names the dimensions: the network learns those that help to reconstruct.

# %%
winner = int(output.lengths[0].argmax())
with torch.no_grad():
    moved = manipulate(model, output.capsules.poses[0, winner], winner, classes=10)
picture(moved.flatten(0, 1), columns=11, zoom=2)

# %% [markdown]
# Which dimension changes the drawing most?

# %%
change = (moved[:, -1] - moved[:, 0]).abs().flatten(1).mean(dim=1)
for dimension in change.argsort(descending=True)[:3].tolist():
    print(f"dimension {dimension + 1}: pixels change by {change[dimension]:.3f} on average")

# %% [markdown]
# On the command line, `capsnet figures RUN` draws such a sheet for each class of any run.

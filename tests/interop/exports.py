"""What the tests of exports read, written in a process without run-time checks, which torch.export cannot trace."""

import sys
from pathlib import Path

import torch

from capsnet.cli import main
from capsnet.data.inputs import Inputs
from capsnet.errors import UserError
from capsnet.interop.onnx import export
from capsnet.models import create_model


def standardized():
    """A network of 20x20 pixels cut out of images of 32x32 that are scaled to 24x24 and standardised."""
    torch.manual_seed(0)
    model = create_model("capsnet-tiny", image_shape=(1, 20, 20)).eval()
    model.inputs = Inputs((1, 32, 32), shrink=24, crop=20, standardize=True)
    return model


def unknown_operator():
    """A network with an operator that ONNX lacks."""
    model = create_model("capsnet-tiny", decoder=False).eval()
    forward = model.forward
    model.forward = lambda images: forward(images * torch.special.i0e(images))
    return model


def write(folder):
    """Write all files."""
    name = "efficient-capsnet-mnist"
    assert main(["export", name, str(folder / "digits")]) == 0
    assert main(["export", name, str(folder / "small.onnx"), "--int8"]) == 0
    assert main(["export", name, str(folder / "digits.pt2"), "--format", "torch"]) == 0
    export(standardized(), folder / "standardized.onnx", pixels="float")
    try:
        export(unknown_operator(), folder / "none.onnx")
    except UserError as fault:
        (folder / "fault.txt").write_text(str(fault))


if __name__ == "__main__":
    write(Path(sys.argv[1]))

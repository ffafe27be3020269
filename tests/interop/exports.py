"""What the tests of exports read, written in a process without run-time checks, which torch.export cannot trace."""

import functools
import sys
from contextlib import nullcontext
from pathlib import Path

import torch

from capsnet.cli import main
from capsnet.data.inputs import Inputs
from capsnet.errors import UserError
from capsnet.interop import onnx, torch_program
from capsnet.interop.onnx import export
from capsnet.interop.other_graphs import SequenceGraph
from capsnet.models import create_model, create_segmenter, create_sequence_model
from capsnet.runs import load


def standardized():
    """A network of 20x20 pixels cut out of images of 32x32 that are scaled to 24x24 and standardised."""
    torch.manual_seed(0)
    small = {"stem_channels": 4, "num_types": 1, "decoder_hidden": (8,), "iterations": 1}
    model = create_model("capsnet-tiny", image_shape=(1, 20, 20), **small).eval()
    model.inputs = Inputs((1, 32, 32), shrink=24, crop=20, standardize=True)
    return model


def unknown_operator():
    """A network with an operator that ONNX lacks."""
    model = create_model("baseline-cnn-quarter", channels=(4, 2), kernel_sizes=(5, 5), hidden=(8,)).eval()
    forward = model.forward
    model.forward = lambda images: forward(images * torch.special.i0e(images))
    return model


def translate_once(translate):
    """`to_onnx` that translates each program once, and gives copies."""
    known = {}

    def copied(program, names):
        if id(program) not in known:
            known[id(program)] = program, translate(program, names)
        copy = type(known[id(program)][1])()
        copy.CopyFrom(known[id(program)][1])
        return copy

    return copied


def write(folder):
    """Write all files."""
    name = "efficient-capsnet-mnist"
    # one model is traced and translated once
    onnx.trace_answers, onnx.to_onnx = functools.cache(onnx.trace_answers), translate_once(onnx.to_onnx)
    torch_program.trace_answers = onnx.trace_answers
    model = load(name)
    torch_program.opened_for_export = lambda source: nullcontext((model, None))
    assert main(["export", name, str(folder / "digits.pt2"), "--format", "torch"]) == 0
    export(model, folder / "digits")
    export(model, folder / "small.onnx", int8=True)
    export(standardized(), folder / "standardized.onnx", pixels="float")
    # its first coupling is 0/0
    small = {"iterations": 2, "decoder": False, "stem_channels": 4, "num_types": 1}
    export(create_model("capsnet-tiny", routing="max-min", **small).eval(), folder / "max-min.onnx")
    try:
        export(unknown_operator(), folder / "none.onnx")
    except UserError as fault:
        (folder / "fault.txt").write_text(str(fault))
    write_other(folder)


def write_other(folder):
    """Write a segmentation model and a model of sequences, and their files."""
    torch.manual_seed(0)
    masks = create_segmenter("unet-small", image_shape=(1, 8, 8), num_classes=2, channels=2, levels=2)
    masks.save(folder / "masks.safetensors")
    sequences = create_sequence_model(
        "sequence-capsnet", in_channels=2, num_classes=3, stem_channels=(4,), iterations=2
    )
    sequences.save(folder / "sequences.safetensors")
    # traced once for both formats
    program = SequenceGraph(sequences.eval()).trace()
    SequenceGraph.trace = lambda graph: program
    for name, file in (("masks", "masks.onnx"), ("sequences", "sequences.onnx"), ("sequences", "sequences.pt2")):
        words = ["export", str(folder / f"{name}.safetensors"), str(folder / file)]
        assert main([*words, *(["--format", "torch"] if file.endswith(".pt2") else [])]) == 0


if __name__ == "__main__":
    write(Path(sys.argv[1]))

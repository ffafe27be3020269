"""Export of segmentation models and models of sequences to ONNX and to PyTorch programs."""

import io
from pathlib import Path

import torch

from capsnet.errors import UserError
from capsnet.interop.exported import OTHER_KEYS, Pixels
from capsnet.interop.graph import check_outputs
from capsnet.interop.onnx import LIMIT, LIMIT_INT8, OPSET, check_packages, set_metadata, to_onnx, write_graph
from capsnet.interop.other_graphs import OtherGraph, open_other
from capsnet.interop.torch_program import LIMIT as PROGRAM_LIMIT
from capsnet.runs.files import whole_output, write_bytes

# examples with which a written file is compared with its model
_COUNTS = (1, 3)


def export_onnx(source: Path | str, out: Path, *, pixels: Pixels | None = None, int8: bool = False) -> list[str]:
    """Write a segmentation model or a model of sequences as an ONNX file; see `MaskGraph` and `SequenceGraph`.

    The number of samples is free, and that of the steps of sequences; images have the model's size. The written file is
    run by onnxruntime and compared with the model.

    Args:
        source: a run folder or a file of weights.
        out: a new file whose name ends in `.onnx`.
        pixels: type of a segmentation model's input; None: uint8 from 0 to 255.
        int8: store the larger weights in 8 bits.

    Returns:
        Lines that describe what was written.

    Raises:
        UserError: `out` exists, a model that cannot be exported, or the package onnx is missing.
    """
    graph = _open(source, out, ".onnx", pixels)
    check_packages()
    translated = to_onnx(graph.trace(), graph.output_names)
    set_metadata(translated, graph.describe(), OTHER_KEYS[graph.kind])
    with whole_output(out) as beside:
        write_graph(beside, translated, int8=int8)
        difference = _compare_onnx(graph, beside, LIMIT_INT8 if int8 else LIMIT)
    return [
        f"{out}: {out.stat().st_size / 1e6:.1f} MB, opset {OPSET}, {_describe_ends(graph)}",
        f"largest difference between ONNX and PyTorch outputs: {difference:.1e}",
    ]


def export_program(source: Path | str, out: Path, *, pixels: Pixels | None = None) -> list[str]:
    """Write a segmentation model or a model of sequences as a `.pt2` file, for `torch.export.load(file).module()`.

    Args:
        source: a run folder or a file of weights.
        out: a new file whose name ends in `.pt2`.
        pixels: as `export_onnx`.

    Returns:
        Lines that describe what was written.

    Raises:
        UserError: `out` exists, or a model that cannot be exported.
    """
    graph = _open(source, out, ".pt2", pixels)
    content = io.BytesIO()
    torch.export.save(graph.trace(), content, extra_files={f"{OTHER_KEYS[graph.kind]}.json": graph.describe()})
    with whole_output(out) as beside:
        write_bytes(beside, content.getvalue())
        loaded, difference = torch.export.load(beside).module(), 0.0
        for count in _COUNTS:
            examples = graph.examples(count)
            with torch.inference_mode():
                given = loaded(**dict(zip(graph.input_names, examples, strict=True)))
                difference = max(difference, check_outputs(graph(*examples), given, PROGRAM_LIMIT))
    return [
        f"{out}: {out.stat().st_size / 1e6:.1f} MB, {_describe_ends(graph)}",
        f"largest difference to the model: {difference:.1e}",
    ]


def _open(source: Path | str, out: Path, ending: str, pixels: Pixels | None) -> OtherGraph:
    if out.exists():
        raise UserError(f"{out} exists; give another name")
    if out.suffix != ending:
        raise UserError(f"{out} must end in {ending}")
    graph = open_other(source, pixels)
    if graph is None:
        raise UserError(f"{source} holds no model for segmentation or for sequences; use capsnet.interop.onnx.export")
    return graph


def _describe_ends(graph: OtherGraph) -> str:
    return f"takes {' and '.join(graph.input_names)}, gives {' and '.join(graph.output_names)}"


def _compare_onnx(graph: OtherGraph, path: Path, limit: float) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = 0.0
    for count in _COUNTS:
        examples = graph.examples(count)
        with torch.inference_mode():
            expected = graph(*examples)
        named = {name: tensor.numpy() for name, tensor in zip(graph.input_names, examples, strict=True)}
        given = [torch.from_numpy(array) for array in session.run(None, named)]
        difference = max(difference, check_outputs(expected, given, limit))
    return difference

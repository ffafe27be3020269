"""Export to ONNX, a model format that many runtimes support (https://onnx.ai)."""

import contextlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from capsnet.errors import UserError
from capsnet.interop.exported import KEY, Pixels
from capsnet.interop.graph import (
    AnswerGraph,
    DecoderGraph,
    check_outputs,
    describe,
    example_images,
    example_poses,
    first_line,
    trace_answers,
    trace_decoder,
)
from capsnet.models import CapsuleModel
from capsnet.runs import Run
from capsnet.runs.files import whole_output, write_bytes
from capsnet.runs.folder import opened_for_export

if TYPE_CHECKING:
    import onnx

OPSET = 20
# largest difference of float32 sums in another order; for int8 weights the difference is only reported
LIMIT, LIMIT_INT8 = 1e-4, 1.0
"""Largest difference of outputs from the model's, relative to the largest output."""


def export(
    source: CapsuleModel | Run | Path | str, out: Path | str, *, pixels: Pixels = "uint8", int8: bool = False
) -> list[str]:
    """Write a trained model as ONNX: one file, or a folder with the model and its decoder.

    The input is `image` (`b c h w`, any number of images); the outputs are `lengths`, `poses`, with a decoder
    `reconstruction`, and for a model with measured limits `signals`. The metadata describes the model (`Exported`). The
    written files are run by onnxruntime and compared with the model.

    Args:
        source: a model, a run, or what `capsnet.load` accepts.
        out: a new file whose name ends in `.onnx`, or a new folder for `model.onnx` and `decoder.onnx`.
        pixels: the input is uint8 from 0 to 255, or float in [0, 1].
        int8: store the larger weights in 8 bits.

    Returns:
        Lines that describe what was written.

    Raises:
        UserError: `out` exists, the model cannot be loaded or exported, or the package onnx is missing.
    """
    check_packages()
    with opened_for_export(source) as (model, _):
        return _export(model, Path(out), pixels=pixels, int8=int8)


def _export(model: CapsuleModel, out: Path, *, pixels: Pixels, int8: bool) -> list[str]:
    if out.exists():
        raise UserError(f"{out} exists; give another name")
    single = out.suffix == ".onnx"
    if not single and out.suffix:
        raise UserError(f"{out}: an ONNX file must end in .onnx, a folder must have no ending")
    answers = to_onnx(trace_answers(model, pixels), AnswerGraph(model, pixels).output_names)
    set_metadata(answers, describe(model, pixels).to_json())
    graphs = {"model.onnx": answers}
    if not single and model.has_decoder:
        graphs["decoder.onnx"] = to_onnx(trace_decoder(model), ["reconstruction"])
    with whole_output(out) as beside:
        written = {beside if single else beside / name: graph for name, graph in graphs.items()}
        for path, graph in written.items():
            write_graph(path, graph, int8=int8)
        difference = _compare_all(model, list(written), pixels, LIMIT_INT8 if int8 else LIMIT)
    paths = [out] if single else [out / name for name in graphs]
    lines = [f"{path}: {path.stat().st_size / 1e6:.1f} MB, opset {OPSET}" for path in paths]
    return [*lines, f"largest difference between ONNX and PyTorch outputs: {difference:.1e}"]


def check_packages() -> None:
    """Check that the packages of the extra are installed.

    Raises:
        UserError: one is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as fault:
        raise UserError(f"ONNX needs the package {fault.name}: pip install 'capsnet[onnx]'") from None


def to_onnx(program: ExportedProgram, output_names: Sequence[str]) -> "onnx.ModelProto":
    """Translate a traced program.

    Raises:
        UserError: an operator of the model has no ONNX counterpart.
    """
    from capsnet.interop.onnx_operators import translations

    try:
        with _quiet():
            translated = torch.onnx.export(
                program,
                output_names=list(output_names),
                opset_version=OPSET,
                custom_translation_table=dict(translations()),
                dynamo=True,
                verbose=False,
            )
    # the translator raises RuntimeError for an unknown operator
    except RuntimeError as fault:
        cause: BaseException = fault
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UserError(f"the model cannot be exported to ONNX: {first_line(cause)}") from None
    assert translated is not None
    graph = translated.model_proto
    _name_batch(graph)
    return graph


def _name_batch(graph: "onnx.ModelProto") -> None:
    """Rename the batch dimension to `batch`, and a last free dimension to `steps`; the tracer numbers its symbols."""
    values = [*graph.graph.input, *graph.graph.output, *graph.graph.value_info]
    axes = [axis for value in values for axis in value.type.tensor_type.shape.dim if axis.dim_param]
    shapes = [value.type.tensor_type.shape.dim for value in graph.graph.input]
    symbols = {shape[-1].dim_param: "steps" for shape in shapes} | {shape[0].dim_param: "batch" for shape in shapes}
    for axis in axes:
        for symbol, name in symbols.items():
            axis.dim_param = re.sub(rf"\b{symbol}\b", name, axis.dim_param) if symbol else axis.dim_param


def write_graph(path: Path, graph: "onnx.ModelProto", *, int8: bool) -> None:
    """Check a graph, and write its file."""
    import onnx

    from capsnet.interop.weights import shrink_weights

    if int8:
        shrink_weights(graph, "int8")
    onnx.checker.check_model(graph, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, graph.SerializeToString())


def set_metadata(graph: "onnx.ModelProto", description: str, key: str = KEY) -> None:
    """Describe the model in its file."""
    import onnx

    onnx.helper.set_model_props(graph, {key: description})
    graph.producer_name = "capsnet"


def _compare_all(model: CapsuleModel, paths: Sequence[Path], pixels: Pixels, limit: float) -> float:
    """The largest difference of the file of a model, and of that of its decoder if there is one."""
    answers, *decoders = paths
    difference = _compare(
        AnswerGraph(model, pixels), answers, lambda count: {"image": example_images(model, count, pixels)}, limit
    )
    for path in decoders:
        decoded = _compare(DecoderGraph(model), path, lambda count: example_poses(model, count), limit)
        difference = max(difference, decoded)
    return difference


def _compare(graph: nn.Module, path: Path, examples: Callable[[int], Mapping[str, Tensor]], limit: float) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = 0.0
    for count in (1, 3):
        inputs = examples(count)
        with torch.inference_mode():
            expected = graph(**inputs)
        arrays = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        given = [torch.from_numpy(array) for array in arrays]
        difference = max(difference, check_outputs(expected, given, limit))
    return difference


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the translator's warnings about optional packages and about its own use of PyTorch."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)

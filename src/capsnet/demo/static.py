"""The page as a folder of files: the network runs in the browser with onnxruntime-web, without a server."""

import base64
import gzip
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.demo.look import couplings, look, watch_children
from capsnet.errors import UserError
from capsnet.figures.coupling import coupling_shares, find_grid
from capsnet.inference.doubt import read_signals
from capsnet.interop.graph import trace_once
from capsnet.interop.onnx import check_packages, to_onnx
from capsnet.interop.onnx_runtime_web import VERSION, load_web_runtime
from capsnet.interop.weights import shrink_weights
from capsnet.models import CapsuleModel
from capsnet.prediction import NO_DIGIT, REASONS
from capsnet.runs import Run
from capsnet.runs.files import whole_output, write_text
from capsnet.runs.folder import opened_for_export

if TYPE_CHECKING:
    import onnx

_PAGE = ("page.css", "page.js", "favicon.svg")


class EncoderGraph(nn.Module):
    """The data that the page shows for an image, without the reconstruction.

    Shapes:
        image `1 c h w`; lengths `n`, poses `n d`, seen `1 c y x` in [0, 1], and, if the network has coupling over
        the image, shares `s n y x` for each step of the routing.
    """

    def __init__(self, model: CapsuleModel, *, places: bool) -> None:
        super().__init__()
        self.model, self.places = model, places

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of `forward`, in order."""
        return ["lengths", "poses", "seen", *(["shares"] if self.places else [])]

    def forward(self, image: UInt8[Tensor, "1 c h w"]) -> tuple[Tensor, ...]:
        """Run the network on an image."""
        inputs = self.model.inputs
        pixels = inputs.view(image)
        children, output = watch_children(self.model, inputs.normalize(pixels))
        results = [output.lengths[0], output.capsules.poses[0], pixels / 255]
        if self.places:
            grid = find_grid(self.model)
            steps = couplings(self.model, children, output)
            results.append(torch.cat([coupling_shares(coupling, grid) for _, coupling in steps]))
        return tuple(results)


class DrawingGraph(nn.Module):
    """The reconstruction from a pose, and its errors against the network's input.

    Shapes:
        poses `1 n d`, labels `1`, seen `1 c y x`; reconstruction `1 c y x`, errors `2` (`Doubt`).
    """

    output_names = ("reconstruction", "errors")

    def __init__(self, model: CapsuleModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, poses: Float[Tensor, "1 n d"], labels: Int[Tensor, "1"], seen: Float[Tensor, "1 c y x"]
    ) -> tuple[Tensor, Tensor]:
        """Decode the capsule of the class `labels`."""
        reconstruction = self.model.reconstruct(Capsules(poses, poses.norm(dim=-1)), labels)
        output = CapsNetOutput(Capsules(poses, poses.norm(dim=-1)), poses.norm(dim=-1), None)
        signals = read_signals(output, seen, reconstruction, None)
        assert signals.error is not None
        assert signals.patch_error is not None
        return reconstruction, torch.cat([signals.error, signals.patch_error])


def export(source: CapsuleModel | Run | Path | str, out: Path | str, *, int8: bool = False) -> list[str]:
    """Write the page of `capsnet demo` for one network as a folder; `index.html` opens without a server.

    Weights are stored as float16. This needs the packages of the extra `onnx`, and onnxruntime-web, which is downloaded
    once.

    Args:
        source: a model, a run, or what `capsnet.load` accepts.
        out: a new folder.
        int8: store the larger weights in 8 bits.

    Returns:
        Lines that describe what was written.

    Raises:
        UserError: `out` exists, the network cannot be loaded or exported or takes neither 1 nor 3 channels, a package
            is missing, or onnxruntime-web is neither stored nor downloadable.
    """
    check_packages()
    out = Path(out)
    if out.exists():
        raise UserError(f"{out} exists; give another name")
    runtime = load_web_runtime()
    with opened_for_export(source) as (model, run):
        name = "network" if run is None else run.folder.name
        if isinstance(source, str | Path) and run is None:
            name = Path(source).stem
        contents = _describe(model, name, int8=int8)
    scripts = {"glue": runtime.glue, "wasm": _pack(runtime.program)}
    page = {name: _read(name) for name in _PAGE}
    page["index.html"] = _read("page.html").replace(
        '<script src="engine.js" defer>',
        "".join(f'<script src="{file}" defer></script>\n' for file in ("runtime.js", "model.js"))
        + '<script src="engine.js" defer>',
    )
    page["engine.js"] = _read("prepare.js") + _read("engine_local.js").replace('"use strict";\n', "", 1)
    page["model.js"] = f'"use strict";\nconst MODEL = {json.dumps(contents)};\n'
    page["runtime.js"] = (
        f"// onnxruntime-web {VERSION}, Copyright (c) Microsoft Corporation, MIT License\n"
        f"{runtime.interface}\nconst RUNTIME = {json.dumps(scripts)};\n"
    )
    with whole_output(out) as beside:
        beside.mkdir()
        for file, text in page.items():
            write_text(beside / file, text)
    size = sum(path.stat().st_size for path in out.iterdir())
    return [f"{out / 'index.html'}: open it in a browser; the folder holds {size / 1e6:.1f} MB"]


def _read(name: str) -> str:
    return files("capsnet.demo").joinpath(name).read_text(encoding="utf-8")


def _pack(data: bytes) -> str:
    # the same bytes at each export
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _describe(model: CapsuleModel, name: str, *, int8: bool) -> dict[str, object]:
    """The description of a network for the page's engine, with its graphs."""
    _, height, width = model.inputs.image_shape
    example = look(model, Image.new("L", (width, height)))
    places = example["places"]
    encoder = EncoderGraph(model, places=places is not None)
    image = torch.zeros(1, *model.inputs.image_shape, dtype=torch.uint8)
    graphs = {"encoder": to_onnx(trace_once(encoder, {"image": image}), encoder.output_names), "decoder": None}
    if model.has_decoder:
        inputs = {
            "poses": torch.zeros(1, len(model.class_names), model.pose_dim),
            "labels": torch.zeros(1, dtype=torch.long),
            "seen": model.inputs.view(image) / 255,
        }
        graphs["decoder"] = to_onnx(trace_once(DrawingGraph(model), inputs), DrawingGraph.output_names)
    doubt = model.doubt
    return {
        "name": name,
        "names": list(model.class_names),
        "shape": list(model.inputs.image_shape),
        "preparation": model.preparation,
        "pairs": model.pairing is not None,
        "about": example["about"],
        "note": example["note"],
        "word": example["word"],
        "places": places and {**places, "steps": [], "iterations": [step["iteration"] for step in places["steps"]]},
        "limits": doubt and {key: getattr(doubt, key) for key in ("length", "gap", "error", "patch_error", "pieces")},
        "words": REASONS,
        "no_digit": NO_DIGIT,
        **{graph_name: graph and _to_text(graph, int8=int8) for graph_name, graph in graphs.items()},
    }


def _to_text(graph: "onnx.ModelProto", *, int8: bool) -> str:
    shrink_weights(graph, "int8" if int8 else "float16")
    return _pack(graph.SerializeToString())

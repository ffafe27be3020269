"""Start-up time of whole processes."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.runs.weights import ModelSpec, save_weights


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """Import of torch and of capsnet, and the prediction of one image with the paper's network."""
    with tempfile.TemporaryDirectory() as folder:
        weights, image = Path(folder, "weights.safetensors"), Path(folder, "image.png")
        spec = ModelSpec("capsnet", {"image_shape": (1, 28, 28)}, tuple("0123456789"), "digit", "mnist")
        save_weights(weights, spec.build(), spec)
        Image.radial_gradient("L").save(image)
        commands = {
            "import torch": ["-c", "import torch"],
            "import capsnet": ["-c", "import capsnet"],
            "capsnet predict": ["-m", "capsnet", "predict", str(weights), str(image)],
        }
        yield Job({}, {name: partial(_run, words) for name, words in commands.items()})


def _run(words: list[str]) -> None:
    subprocess.run([sys.executable, *words], capture_output=True, check=True)


BENCHES.add("startup", Bench(jobs, "whole processes: imports, and the prediction of one image", rounds=5))

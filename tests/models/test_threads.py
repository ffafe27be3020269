"""Threads and bits, in processes of their own, as the suite itself runs with one thread.

Two threads give the same bits each time, and in a fixed order any number of threads gives those of one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.models.test_models import SMALL

from capsnet.models import MODELS

# one of each class, large enough for threads to share its work
SIZES = {
    **SMALL,
    "attention-capsnet-small": {"stages": ((4, 1, 2), (6, 1, 2)), "num_types": (8, 8, 8)},
    "self-routing-capsnet": {"stages": ((4, 1, 1), (6, 1, 2)), "num_types": 6, "depth": 3, "parent_dim": 5},
}
NAMES = (
    "attention-capsnet-small",
    "backbone-capsnet",
    "baseline-cnn-quarter",
    "capsnet-tiny",
    "deepcaps-small",
    "efficient-capsnet",
    "em-capsnet-tiny",
    "resnet-20",
    "self-routing-capsnet",
    "vb-capsnet-tiny",
)

GRADIENTS = """
import json, sys, torch
from capsnet import create_model
from capsnet.training.fixed_order import FixedOrder
assert torch.get_num_threads() == 2
for name, options in json.loads(sys.argv[1]).items():
    torch.manual_seed(0)
    model = create_model(name, image_shape=(1, 36, 36), num_classes=4, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    images, labels = torch.rand(16, 1, 36, 36), torch.arange(16) % 4
    def gradients():
        out = model(images)
        loss = out.lengths.square().sum()
        if model.decoder is not None:
            loss = loss + model.reconstruct(out.capsules, labels).square().sum()
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        return [out.lengths.detach(), *(gradient for gradient in found if gradient is not None)]
    first = gradients()
    repeated = sum(any(not a.equal(b) for a, b in zip(first, gradients())) for _ in range(5))
    with FixedOrder():
        each = []
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            each.append(gradients())
    torch.set_num_threads(2)
    all_of = lambda tensors: torch.cat([tensor.flatten() for tensor in tensors])
    error = float((all_of(first) - all_of(each[0])).norm() / all_of(first).norm())
    others = sum(any(not a.equal(b) for a, b in zip(each[0], other)) for other in each[1:])
    print(name, repeated, others, error, flush=True)
torch.use_deterministic_algorithms(True)
gradients()
"""

TRAINING = """
import os, signal, sys, torch
from pathlib import Path
from capsnet.runs import RunConfig
from capsnet.training import train
from capsnet.training.loop import Job
assert torch.get_num_threads() == 2
small = {"stages": ((4, 1, 1), (6, 1, 2)), "num_types": (8, 8, 8)}
config = RunConfig.from_defaults(
    data="digits",
    model="attention-capsnet-small",
    model_options=small,
    steps=4,
    batch_size=16,
    limit=48,
    test_limit=2,
    seed=1,
)
out = Path(sys.argv[1])
train(config, out=out / "whole")
whole = Job._step
def interrupted(job, *args):
    whole(job, *args)
    if job.state.step == 2:
        os.kill(os.getpid(), signal.SIGINT)
Job._step = interrupted
try:
    train(config, out=out / "stopped")
except KeyboardInterrupt:
    print("stopped")
Job._step = whole
train(config, resume=out / "stopped")
for threads in (1, 2):
    torch.set_num_threads(threads)
    train(config.change(fixed_order=True), out=out / f"fixed-{threads}")
"""


def run_script(script: str, argument: str) -> str:
    # passive: where other programs use the cores, a thread that waits gives up its own
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-c", script, argument], capture_output=True, text=True, env=environment, timeout=400
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repeated(shared_folder: Callable[[str, Callable[[Path], None]], Path]) -> dict[str, tuple[float, ...]]:
    def write(folder: Path) -> None:
        sizes = {name: SIZES.get(name, {}) for name in NAMES}
        (folder / "found.txt").write_text(run_script(GRADIENTS, json.dumps(sizes)))

    lines = (shared_folder("gradients", write) / "found.txt").read_text().splitlines()
    return {name: tuple(map(float, numbers)) for name, *numbers in (line.split() for line in lines)}


def test_every_class_of_model_is_tried() -> None:
    assert {MODELS.get(name).build for name in NAMES} == {MODELS.get(name).build for name in MODELS}


@pytest.mark.parametrize("name", NAMES)
def test_repeated_backward_passes_are_equal_to_the_bit(repeated: dict[str, tuple[float, ...]], name: str) -> None:
    assert repeated[name][0] == 0


@pytest.mark.parametrize("name", NAMES)
def test_fixed_order_gives_the_same_bits_with_any_number_of_threads(
    repeated: dict[str, tuple[float, ...]], name: str
) -> None:
    _, different, error = repeated[name]
    assert different == 0
    # a rounding of float32, which batch norm over few images enlarges
    assert error < 1e-4


def test_runs_of_one_seed_are_equal_to_the_bit_even_when_stopped(tmp_path: Path) -> None:
    assert "stopped" in run_script(TRAINING, str(tmp_path))
    whole, stopped = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert stopped == whole
    one, two = ((tmp_path / f"fixed-{threads}" / "weights.safetensors").read_bytes() for threads in (1, 2))
    assert one == two

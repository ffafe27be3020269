"""The rooms of the package, and what stays out of `import capsnet`."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import capsnet

ROOT = Path(capsnet.__file__).parent
LEVELS = {
    "_version": 0,
    "bounds": 0,
    "cache": 0,
    "disk_space": 0,
    "errors": 0,
    "free_memory": 0,
    "precision": 0,
    "prediction": 0,
    "processors": 0,
    "registry": 0,
    "renamed": 0,
    "start": 0,
    "threads": 0,
    "torch_internals": 0,
    "capsules": 0,
    "functional": 1,
    "kernels": 1,
    "routing": 1,
    "layers": 2,
    "losses": 2,
    "models": 3,
    "data": 3,
    "runs": 4,
    "inference": 5,
    "training": 6,
    "recipes": 7,
    "analysis": 8,
    "interop": 8,
    "lightning": 8,
    "sklearn": 8,
    "bench": 9,
    "studies": 8,
    "doctor": 9,
    "figures": 9,
    "keras": 8,
    "demo": 10,
    "cli": 11,
    "command": 11,
    "__main__": 11,
}


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in ROOT.rglob("*.py")}


@functools.cache
def parse(path):
    return ast.parse(path.read_text())


def imported_modules(path):
    """All modules of ours that a file imports, also inside functions; of `from x import y`, y where it is a module."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "capsnet":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "capsnet")


def imports(path):
    for name in imported_modules(path):
        if name == "capsnet":
            assert path == ROOT / "__init__.py", f"{path} imports the whole package: import the room of the name"
        else:
            yield name.split(".")[1]


# `model.save_pretrained` and its like stand on every model, and are made where runs and model cards are
METHODS = {"capsnet.models.hub": {"interop"}}


def test_rooms_import_only_from_their_own_level_or_below():
    upward = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path in ROOT.rglob("*.py")
        if path != ROOT / "__init__.py"
        for other in imports(path)
        if LEVELS[other] > LEVELS[room(path)] and other not in METHODS.get(module_name(path), set())
    ]
    assert not upward


# `Dataset.from_arrays` and `from_folder` are made where arrays and folders are read, `RunConfig.from_options` where
# recipes are, and the methods of the Hub as `METHODS` says
CONSTRUCTORS = {
    "capsnet.data.dataset": {"capsnet.data.arrays", "capsnet.data.folder", "capsnet.data.torch_dataset"},
    "capsnet.runs.config": {"capsnet.runs.options"},
    "capsnet.models.hub": {"capsnet.interop.hub"},
}


def test_modules_form_no_cycle():
    arrows = {
        name: set(imported_modules(path)) - {name} - CONSTRUCTORS.get(name, set()) for name, path in MODULES.items()
    }
    # a module that imports nothing that is left is in no cycle
    while free := [name for name, others in arrows.items() if not others & arrows.keys()]:
        for name in free:
            del arrows[name]
    assert not arrows


def test_kernels_never_import_routing():
    assert not [path for path in (ROOT / "kernels").rglob("*.py") if "routing" in imports(path)]


def loaded_by(script):
    """The modules that a new process holds after a script."""
    script = f"import sys\n{script}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_import_capsnet_loads_no_other_module():
    loaded = loaded_by("import capsnet")
    assert {name for name in loaded if name.startswith("capsnet")} == {"capsnet", "capsnet._version"}
    assert not {"torch", "numpy"} & loaded


def test_loading_a_model_loads_nothing_heavy():
    loaded = loaded_by("import capsnet; capsnet.load, capsnet.train, capsnet.evaluate, capsnet.Dataset, capsnet.layers")
    assert not {"matplotlib", "tyro", "rich", "pooch", "sklearn", "scipy", "PIL", "tensorboard"} & loaded


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list", "nosuch"], ["trian"]])
def test_help_and_mistakes_are_printed_without_torch(words):
    assert "torch" not in loaded_by(f"from capsnet.cli import main; main({words})")


def test_top_offers_every_room():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms <= set(dir(capsnet))
    assert all(getattr(capsnet, room).__name__ == f"capsnet.{room}" for room in rooms)


@pytest.mark.parametrize("name", capsnet.__all__)
def test_top_is_lazy_and_typed_alike(name):
    value = getattr(capsnet, name)
    # what type checkers read
    imports = next(node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If))
    typed = {alias.asname: node.module for node in imports.body for alias in node.names}
    assert value is getattr(importlib.import_module(typed[name]), name)


# each in a process of its own, to which torch is given: it takes longer than all of ours
USE_ALONE = """
import os, sys, torch
for use in sys.argv[1:]:
    if (process := os.fork()) == 0:
        import capsnet
        eval(f"capsnet.{use}")
        os._exit(0)
    if os.waitpid(process, 0)[1]:
        sys.exit(f"capsnet.{use} fails")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="on macOS a forked process may not go on with PyTorch")
def test_rooms_are_there_after_import_capsnet():
    uses = [
        "kernels.use('plain').__enter__()",
        "errors.UserError",
        "routing.dynamic.dynamic_routing",
        "analysis.robustness",
        "bench",
        "data.load_data",
        "doctor.examine",
        "figures",
        "models.MODELS",
        "recipes.RECIPES",
        "studies",
    ]
    done = subprocess.run([sys.executable, "-c", USE_ALONE, *uses], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unknown_name_is_an_attribute_error():
    assert not hasattr(capsnet, "kernel")
    assert {"kernels", "train"} <= set(dir(capsnet))


def test_one_image_is_recognised_without_the_compiler():
    script = (
        "import sys, torch, capsnet; model = capsnet.create_model('capsnet-tiny').eval()\n"
        "with torch.inference_mode(): model.reconstruct(model(torch.zeros(1, 1, 28, 28)).capsules)\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    # each of them takes longer than the network
    assert not {"torch._dynamo", "torch.onnx", "triton", "sympy"} & set(loaded)


def test_sizes_of_a_model_are_found_without_the_compiler():
    script = (
        "import sys; from capsnet.cli import main\n"
        "main(['show', 'capsnet']), main(['show', 'baseline-cnn'])\n"
        "print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "8,215,568 parameters" in said
    assert "35,445,522 parameters" in said
    assert not {"torch._dynamo", "sympy", "torch._inductor"} & set(said.splitlines()[-1].split())


def test_library_files_are_short():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES.values()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def code_lines(function):
    """Lines of a function without its docstring."""
    first, rest = function.body[0], function.end_lineno - function.lineno + 1
    return rest - (first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0)


def test_functions_are_short():
    # a program of a GPU is one function: what is split off is computed, and held in registers, in another order
    programs = {"capsnet.kernels.dynamic_routing.triton_kernels"}
    lengths = {
        f"{name}.{node.name}": code_lines(node)
        for name, path in MODULES.items()
        if name not in programs
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_private_interfaces_of_torch_are_in_one_file():
    private = re.compile(r"torch\.(_(?!_)|ops\.aten|\w+(\.\w+)*\._(?!_))|_dynamo_|from torch\S*\._")
    found = {name for name, path in MODULES.items() if private.search(path.read_text())}
    assert found == {"capsnet.torch_internals"}


@pytest.mark.parametrize("registry", ["routing.ROUTINGS", "models.MODELS", "losses.LOSSES", "data.DATASETS"])
def test_names_of_registered_things_have_hyphens(registry):
    module, name = registry.split(".")
    names = getattr(importlib.import_module(f"capsnet.{module}"), name).names()
    assert names
    assert not [name for name in names if "_" in name]

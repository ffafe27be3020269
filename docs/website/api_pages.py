"""Pages of the Python reference: one for each room of the package, made of docstrings.

A page shows the names that the room offers, and below them what else its files offer.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "capsnet"
# commands have a page of their own; kernels are implementations of what routing/ and layers/ offer
LEFT_OUT = frozenset(("cli", "__main__"))


def modules() -> list[str]:
    """Rooms, their folders and single files, in the order of their names, the package itself first."""
    folders = [path.parent for pattern in ("*", "*/*") for path in PACKAGE.glob(f"{pattern}/__init__.py")]
    folders = [folder for folder in folders if "kernels" not in folder.relative_to(PACKAGE).parts[:-1]]
    paths = [path.stem for path in PACKAGE.glob("*.py")]
    paths += [".".join(folder.relative_to(PACKAGE).parts) for folder in folders]
    names = sorted(name for name in paths if not name.startswith("_") and name not in LEFT_OUT)
    return ["capsnet", *(f"capsnet.{name}" for name in names)]


def pages() -> dict[str, str]:
    """All pages by their paths."""
    made = {f"api/{name}.md": _page(name) for name in modules()}
    rows = [f"| [`{name}`]({name}.md) | {_first_line(_file(name))} |" for name in modules()]
    made["api/index.md"] = "\n".join(
        [
            "# Python",
            "",
            "Which folder imports which, and what each contains, is in [Contributing](../project/contributing.md).",
            'Shapes are written in signatures: `Float[Tensor, "b i j d"]` is a tensor of floating-point numbers with',
            "the axes `b` batch, `i` child, `j` parent, `d` parent dimension; further letters: `c` child dimension,",
            "`h w` space, `k` window side, `n` class.",
            "",
            "| module | what it is |",
            "|:--|:--|",
            *rows,
            "",
        ]
    )
    return made


def covered() -> Iterator[str]:
    """Every module that a page shows."""
    for name in modules():
        yield name
        yield from (f"{name}.{path.stem}" for path in _files(name))


def _page(name: str) -> str:
    offered = _offered(name)
    lines = [f"# {name}", "", _docstring(_file(name)), ""]
    lines += [f"::: {name}.{member}\n" for member in offered]
    if name == "capsnet":
        return "\n".join(lines)
    for path in _files(name):
        others = [other for other in _defined(path) if other not in offered]
        if others:
            lines += [f"## {name}.{path.stem}", "", _docstring(path), ""]
            lines += [f"::: {name}.{path.stem}.{other}\n" for other in others]
    return "\n".join(lines)


def _file(name: str) -> Path:
    parts = name.split(".")[1:]
    path = PACKAGE.joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _files(name: str) -> list[Path]:
    """A room's files; of the package itself none, since its rooms have pages of their own."""
    own = _file(name)
    if own.name != "__init__.py" or name == "capsnet":
        return []
    return sorted(path for path in own.parent.glob("*.py") if not path.stem.startswith("_"))


def _offered(name: str) -> list[str]:
    """What a room exports, without modules; of a single file, what it defines."""
    path = _file(name)
    exported = _exports(path)
    if exported is None:
        return _defined(path)
    # the package imports its rooms within a `with` statement
    modules = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == name
        for alias in node.names
    }
    return [member for member in exported if member not in modules]


def _exports(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def _defined(path: Path) -> list[str]:
    """Public functions and classes of a file that have a docstring."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, kinds)]
    return [node.name for node in nodes if not node.name.startswith("_") and ast.get_docstring(node)]


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _first_line(path: Path) -> str:
    return _docstring(path).partition("\n\n")[0].replace("\n", " ")

"""Measures of the style of the code, for dev/LOG.md: python dev/measures.py [CHECKOUT]."""

import ast
import re
import statistics
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Print one measure a line."""
    files = sorted((root / "src" / "capsnet").rglob("*.py"))
    texts = {file: file.read_text() for file in files}
    trees = {file: ast.parse(text) for file, text in texts.items()}
    functions = [
        (code_lines(node), f"{file.relative_to(root)}:{node.name}")
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {file: text.count("\n") for file, text in texts.items()}
    words = " ".join(texts.values())
    outside = " ".join(text for file, text in texts.items() if "/models/" not in str(file))
    cycles = [group for group in components(imports(trees, root / "src")) if len(group) > 1]
    rows = {
        "files": len(files),
        "lines": sum(lengths.values()),
        "files over 300 lines": sum(length > 300 for length in lengths.values()),
        "files over 400 lines": sum(length > 400 for length in lengths.values()),
        "functions": len(functions),
        "code lines of a function, median": statistics.median(length for length, _ in functions),
        "functions over 60 code lines": sum(length > 60 for length, _ in functions),
        "of these outside kernels/": sum(length > 60 and "/kernels/" not in name for length, name in functions),
        "modules in import cycles": sum(map(len, cycles)),
        "`type: ignore`": words.count("type: ignore"),
        "`getattr(model, ...)` outside models/": len(re.findall(r"getattr\((?:\w+\.)*model,", outside)),
        '"found", "said", "told", "seen", "so many", "is told", "nobody"': len(
            re.findall(r"\b(found|said|told|seen|so many|nobody|whoever)\b", words)
        ),
    }
    for name, value in rows.items():
        print(f"{name:66} {value:,}")


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    assert node.end_lineno is not None
    documentation = node.body[0] if ast.get_docstring(node) is not None else None
    lines = 0 if documentation is None else (documentation.end_lineno or 0) - documentation.lineno + 1
    return node.end_lineno - node.lineno + 1 - lines


def imports(trees: dict[Path, ast.Module], source: Path) -> dict[str, set[str]]:
    """Which modules each module imports when it is loaded."""

    def name_of(file: Path) -> str:
        parts = file.relative_to(source).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    names = {name_of(file): tree for file, tree in trees.items()}
    graph: dict[str, set[str]] = {}
    for name, tree in names.items():
        graph[name] = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("capsnet"):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    graph[name].add(whole if whole in names else str(node.module))
        graph[name] &= names.keys() - {name}
    return graph


def components(graph: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected modules: those that each reach the other."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        waiting, reached[start] = [start], set()
        while waiting:
            for name in graph[waiting.pop()] - reached[start]:
                reached[start].add(name)
                waiting.append(name)
    groups: list[set[str]] = []
    for name in graph:
        group = {other for other in reached[name] if name in reached[other]} | {name}
        if group not in groups:
            groups.append(group)
    return groups


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])

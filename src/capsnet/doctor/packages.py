"""Required packages and extras: installed, of an unsupported version, or missing."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from capsnet.doctor.finding import Finding


def find_packages() -> Finding:
    """Compare the installed packages with the requirements."""
    try:
        requirements = [Requirement(line) for line in requires("capsnet") or ()]
    except PackageNotFoundError:
        line = "capsnet runs from a folder that is not installed: install it to register its extras: pip install -e ."
        return Finding({"packages": line}, {"required": {}, "extras": {}}, (f"packages: {line}",))
    extras = sorted({extra for line in requirements if line.marker for extra in _extras(line)})
    required = {
        line.name: _state(line) for line in requirements if line.marker is None or line.marker.evaluate({"extra": ""})
    }
    needed = {extra: _needed(requirements, extra) for extra in extras}
    unmet = {name: state for name, state in required.items() if state}
    lines = {"required": f"{len(required) - len(unmet)} of {len(required)} installed as required"}
    lines |= {f"extra {extra}": _describe(extra, states) for extra, states in needed.items()}
    values = {
        "required": {name: state or "ok" for name, state in required.items()},
        "extras": {
            extra: {"installed": not any(states.values()), "install": _install(extra)}
            for extra, states in needed.items()
        },
    }
    return Finding(
        lines, values, tuple(f"packages: {name} {state}; pip install capsnet" for name, state in unmet.items())
    )


def _extras(line: Requirement) -> list[str]:
    # a marker can only be evaluated: try each of its words as an extra
    words = str(line.marker).replace('"', " ").replace("'", " ").split()
    return [
        w
        for w in words
        if line.marker and line.marker.evaluate({"extra": w}) and not line.marker.evaluate({"extra": ""})
    ]


def _needed(requirements: list[Requirement], extra: str) -> dict[str, str]:
    lines = [line for line in requirements if line.marker and extra in _extras(line)]
    return {line.name: _state(line) for line in lines}


def _state(line: Requirement) -> str:
    """The problem with a package; empty if there is none."""
    try:
        installed = version(line.name)
    except PackageNotFoundError:
        return "is missing"
    return (
        "" if line.specifier.contains(installed, prereleases=True) else f"is {installed}, required is {line.specifier}"
    )


def _describe(extra: str, states: dict[str, str]) -> str:
    problems = [f"{name} {state}" for name, state in states.items() if state]
    return f"{', '.join(problems)}: {_install(extra)}" if problems else "installed"


def _install(extra: str) -> str:
    return f"pip install 'capsnet[{extra}]'"

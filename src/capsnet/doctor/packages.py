"""Packages that capsnet needs, and its extras: installed, of the wrong version, or missing."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from capsnet.doctor.finding import Finding


def find_packages() -> Finding:
    """Compare what is installed with what the package asks for."""
    try:
        wanted = [Requirement(line) for line in requires("capsnet") or ()]
    except PackageNotFoundError:
        line = "capsnet runs from a folder that is not installed: pip install -e . there makes its extras known"
        return Finding({"packages": line}, {"required": {}, "extras": {}}, (f"packages: {line}",))
    extras = sorted({extra for line in wanted if line.marker for extra in _extras(line)})
    required = {
        line.name: _state(line) for line in wanted if line.marker is None or line.marker.evaluate({"extra": ""})
    }
    needed = {extra: _needed(wanted, extra) for extra in extras}
    wrong = {name: state for name, state in required.items() if state}
    says = {"required": f"{len(required) - len(wrong)} of {len(required)} as asked for"}
    says |= {f"extra {extra}": _say(extra, parts) for extra, parts in needed.items()}
    values = {
        "required": {name: state or "ok" for name, state in required.items()},
        "extras": {
            extra: {"installed": not any(parts.values()), "install": _install(extra)} for extra, parts in needed.items()
        },
    }
    return Finding(
        says, values, tuple(f"packages: {name} {state}; pip install capsnet" for name, state in wrong.items())
    )


def _extras(line: Requirement) -> list[str]:
    # a marker tells nothing but true or false, so each word of it is tried
    words = str(line.marker).replace('"', " ").replace("'", " ").split()
    return [
        w
        for w in words
        if line.marker and line.marker.evaluate({"extra": w}) and not line.marker.evaluate({"extra": ""})
    ]


def _needed(wanted: list[Requirement], extra: str) -> dict[str, str]:
    lines = [line for line in wanted if line.marker and extra in _extras(line)]
    return {line.name: _state(line) for line in lines}


def _state(line: Requirement) -> str:
    """What is amiss with a package, or nothing."""
    try:
        found = version(line.name)
    except PackageNotFoundError:
        return "is missing"
    return "" if line.specifier.contains(found, prereleases=True) else f"is {found}, wanted is {line.specifier}"


def _say(extra: str, parts: dict[str, str]) -> str:
    amiss = [f"{name} {state}" for name, state in parts.items() if state]
    return f"{', '.join(amiss)}: {_install(extra)}" if amiss else "installed"


def _install(extra: str) -> str:
    return f"pip install 'capsnet[{extra}]'"

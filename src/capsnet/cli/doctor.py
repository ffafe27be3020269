"""`capsnet doctor`."""

from dataclasses import dataclass

from capsnet._version import __version__
from capsnet.cli.console import print_json, wrapped
from capsnet.cli.parse import parse
from capsnet.doctor import Finding, examine


@dataclass(frozen=True)
class Doctor:
    """Check torch, device, kernels, data sets, cache and extras. Nothing is downloaded or trained.

    Kernels in C are compiled if the cache does not hold them yet.

    The exit status is 0, also with warnings.

    Examples:
      capsnet doctor
      capsnet doctor --json
    """

    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Examine and print."""
    options = parse(Doctor, args)
    findings = examine()
    warnings = [line for finding in findings.values() for line in finding.warnings]
    if options.json:
        values = {name: finding.values for name, finding in findings.items()}
        print_json({"capsnet": __version__, **values, "warnings": warnings})
        return
    _print(findings)
    print(*[wrapped(line, "warning: ", "  ") for line in warnings] or ["No problems found."], sep="\n")


def _print(findings: dict[str, Finding]) -> None:
    width = max(len(label) for finding in findings.values() for label in finding.lines)
    for name, finding in findings.items():
        print(name)
        for label, text in finding.lines.items():
            for number, line in enumerate(text.split("\n")):
                indent = " " * (width + 4)
                print(wrapped(line, indent if number else f"  {label:{width}}  ", indent))
    print()

"""Describe a routing: summary, source, options, and the models that use it."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator

from capsnet.models import MODELS
from capsnet.models.factory import Preset, model_routing
from capsnet.routing import ROUTINGS
from capsnet.routing.base import Routing

_LINE = 80
# arguments that the layer passes to a routing
_SIZES = ("self", "num_children", "num_parents", "child_dim", "parent_dim", "device", "dtype")
# arguments of a model that the data or the caller gives
_GIVEN = ("image_shape", "num_classes", "device", "dtype")


def describe_routing(name: str) -> list[str]:
    """Lines about a routing, of at most 80 columns.

    Args:
        name: one of `ROUTINGS`.
    """
    routing = ROUTINGS.get(name)
    documentation = inspect.getdoc(routing) or ""
    summary = _plain(documentation.partition("\n\n")[0])
    lines = [*_wrap(f"{name}: {summary}"), "", *_wrap(_source(routing), "source    ")]
    models = [model for model in sorted(MODELS.names()) if model_routing(model)[0] == name]
    lines += _wrap(", ".join(models) or "none by default", "models    ")
    meanings = dict(_arguments(documentation))
    options = [
        parameter for key, parameter in inspect.signature(routing.__init__).parameters.items() if key not in _SIZES
    ]
    lines.append("options   none" if not options else "options")
    for parameter in options:
        head = f"  {parameter.name} = {parameter.default}"
        lines += [head, *_wrap(meanings.get(parameter.name, ""), "      ")]
    return [*lines, "", f"capsnet train --routing {name}"]


def describe_options(preset: Preset) -> list[str]:
    """A line for each option of a model, with its value in the preset."""
    options = {
        name: preset.options.get(name, parameter.default)
        for name, parameter in inspect.signature(preset.build).parameters.items()
        if name not in _GIVEN
    }
    return ["options", *(f"  {name} = {value}" for name, value in options.items())]


def _source(routing: Callable[..., Routing]) -> str:
    """The paper, from the module's docstring: the text after its first sentence."""
    text = _plain(inspect.getdoc(inspect.getmodule(routing)) or "")
    sentence, _, rest = text.partition(". ")
    return rest or sentence


def _arguments(documentation: str) -> Iterator[tuple[str, str]]:
    """Names and meanings in the section `Args` of a docstring."""
    _, _, section = documentation.partition("Args:\n")
    section = section.partition("\n\n")[0]
    for entry in re.split(r"\n(?= {4}\w)", section):
        key, _, meaning = entry.strip().partition(": ")
        yield key, _plain(meaning)


def _plain(text: str) -> str:
    """The text in one line, without back quotes."""
    return " ".join(text.replace("`", "").split())


def _wrap(text: str, first: str = "") -> list[str]:
    return textwrap.wrap(
        text, _LINE, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    ) or ([first.rstrip()] if first.strip() else [])

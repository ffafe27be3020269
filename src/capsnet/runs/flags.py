"""The flags of a run's options on the command line, and values that are lists."""

import json
from collections.abc import Mapping

KEY_VALUE = {"model_options": "--option", "routing_options": "--routing-option"}
"""Flags of the options that are written KEY=VALUE."""


def flag_of(option: str) -> str:
    """The flag of an option.

    Example:
        >>> flag_of("batch_size"), flag_of("model_options")
        ('--batch-size', '--option')
    """
    return KEY_VALUE.get(option) or "--" + option.replace("_", "-")


def flag_words(option: str, value: object) -> list[str]:
    """An option as it is typed.

    Args:
        option: its name.
        value: of the option; a mapping for the options of a model or routing.

    Returns:
        The words of the command line, not quoted for a shell.

    Example:
        >>> flag_words("model_options", {"leaky": True})
        ['--option', 'leaky=true']
    """
    flag = flag_of(option)
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    if isinstance(value, Mapping):
        return [flag, *(f"{key}={_typed(entry)}" for key, entry in value.items())]
    if isinstance(value, list | tuple):
        return [flag, *map(show_value, value)]
    return [flag, show_value(value)]


def show_value(value: object) -> str:
    """Format an option's value for a label.

    Example:
        >>> show_value(3e-4), show_value({"leaky": True})
        ('0.0003', 'leaky=True')
    """
    if isinstance(value, Mapping):
        return " ".join(f"{key}={show_value(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return " ".join(show_value(entry) for entry in value) or "none"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def as_tuples(value: object) -> object:
    """A value whose lists, which JSON has, are tuples.

    Example:
        >>> as_tuples([[16, 1], [32, 2]])
        ((16, 1), (32, 2))
    """
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value


def _typed(value: object) -> str:
    """A value as `--option` reads it: texts as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

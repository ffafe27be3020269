"""The flags of a run's options on the command line, and values that are lists."""

KEY_VALUE = {"model_options": "--option", "routing_options": "--routing-option"}
"""Flags of the options that are written KEY=VALUE."""


def flag_of(option: str) -> str:
    """The flag of an option.

    Example:
        >>> flag_of("batch_size"), flag_of("model_options")
        ('--batch-size', '--option')
    """
    return KEY_VALUE.get(option) or "--" + option.replace("_", "-")


def as_tuples(value: object) -> object:
    """A value whose lists, which JSON has, are tuples.

    Example:
        >>> as_tuples([[16, 1], [32, 2]])
        ((16, 1), (32, 2))
    """
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value

"""The flags of a run's options on the command line."""

KEY_VALUE = {"model_options": "--option", "routing_options": "--routing-option"}
"""Flags of the options that are written KEY=VALUE."""


def flag_of(option: str) -> str:
    """The flag of an option.

    Example:
        >>> flag_of("batch_size"), flag_of("model_options")
        ('--batch-size', '--option')
    """
    return KEY_VALUE.get(option) or "--" + option.replace("_", "-")

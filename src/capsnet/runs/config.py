"""The configuration of a run: five sections, whose fields are the options of `capsnet train`, stored as config.json.

An option is named after its field: `lr` is `config.optimizer.lr`. A section's field `name` is named after the section:
`data` is `config.data.name`.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import methodcaller
from pathlib import Path
from typing import cast

from capsnet.errors import UserError
from capsnet.registry import did_you_mean
from capsnet.runs.flags import as_tuples
from capsnet.runs.formats import rename_config, upgrade_config
from capsnet.runs.limits import check_limits
from capsnet.runs.sections import (
    OPTIONS,
    AugmentationConfig,
    DataConfig,
    ExecutionConfig,
    ModelConfig,
    OptimizerConfig,
)
from capsnet.runs.typed import convert, parse_json

FORMAT_VERSION = 3

_OBJECT = "custom: "


def object_name(name: str) -> str:
    """The name, in a configuration, of a model or data set that was passed as an object."""
    return _OBJECT + name


def is_object(name: str) -> bool:
    """Whether this is the name of a model or data set that was passed as an object, which no file holds."""
    return name.startswith(_OBJECT)


@dataclass(frozen=True)
class RunConfig:
    """All settings that determine the result of a run.

    Raises:
        UserError: a value out of range.

    Example:
        >>> config = RunConfig.from_options("sabour2017-mnist", epochs=1)
        >>> config.optimizer.epochs, config.change(lr=2e-3).optimizer.lr
        (1, 0.002)
    """

    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: ExecutionConfig = field(default_factory=ExecutionConfig)

    def __new__(cls, *sections: object, **named: object) -> "RunConfig":
        known = [item.name for item in dataclasses.fields(cls)]
        for name, value in {**dict(zip(known, sections, strict=False)), **named}.items():
            if name not in known or not dataclasses.is_dataclass(value):
                raise UserError(
                    f"RunConfig takes the sections {', '.join(known)}, got {name}={value!r}; for options use "
                    f"RunConfig.from_options({name}={value!r})"
                )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if self.optimizer.stop_at and not self.data.validation:
            raise UserError("stop_at needs validation images: `validation` is 0; give a share such as 0.1")

    @classmethod
    def from_options(cls, recipe: str = "quickstart", **options: object) -> "RunConfig":
        """The configuration of a recipe, changed by options: those of `capsnet train` by their names.

        Args:
            recipe: its name; for your own images, `"quickstart"` means `"own-images"`, or for few photos
                `"own-photos"` if its backbone's trained weights are on this machine.
            options: such as `epochs=1`, `batch_size=16`, `lr=1e-3`.

        Raises:
            UserError: an unknown recipe or option, a value out of range, or an option without an effect.

        Example:
            >>> RunConfig.from_options("sabour2017-mnist", epochs=1).optimizer.batch_size
            128
        """
        # imported late: recipes depend on this module
        from capsnet.runs.options import make_given_config

        return make_given_config(recipe, options)

    @classmethod
    def from_defaults(cls, **options: object) -> "RunConfig":
        """The default of every option, changed by options.

        Raises:
            UserError: an unknown option, or a value out of range.
        """
        return cls().change(**options)

    def change(self, **options: object) -> "RunConfig":
        """The configuration with other values of some options.

        `epochs` without `steps` is the whole length of the run: it ends the limit of `steps` that a recipe may have.

        Args:
            options: by their names; a path is kept as text, a list as a tuple.

        Raises:
            UserError: an unknown option, or a value out of range.

        Example:
            >>> RunConfig().change(data="mnist", lr=2e-3).data.name
            'mnist'
        """
        check_names({name: value for name, value in options.items() if name != "recipe"})
        if options.get("epochs") is not None:
            options.setdefault("steps", None)
        sections: dict[str, dict[str, object]] = {}
        for name, value in options.items():
            value = str(value) if isinstance(value, Path) else as_tuples(value)
            option = OPTIONS[name]
            sections.setdefault(option.section, {})[option.field] = value
        # each section checks its fields
        changed = {name: replace(getattr(self, name), **values) for name, values in sections.items()}
        return replace(self, **changed)

    def options(self) -> dict[str, object]:
        """The value of every option by its name, section by section."""
        return {name: getattr(getattr(self, option.section), option.field) for name, option in OPTIONS.items()}

    def to_json(self) -> str:
        """The text of `config.json`; NumPy numbers are allowed."""
        values = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(values, indent=2, default=methodcaller("item")) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "RunConfig":
        """Read `config.json`.

        Raises:
            UserError: not a configuration, one of a newer version, or an entry of another type or above its limit.
        """
        values = parse_json(text, "config.json")
        version = values.pop("format_version", None) if isinstance(values, dict) else None
        if not isinstance(values, dict) or not isinstance(version, int):
            raise UserError("config.json is not that of a run (it has no format_version)")
        if version > FORMAT_VERSION:
            raise UserError(
                f"the run is from a newer capsnet (format {version}, this one reads up to {FORMAT_VERSION}); "
                "upgrade capsnet"
            )
        check_limits(values, "config.json")
        if version < 3:
            values = upgrade_config(rename_config(values), version)
        return cast(RunConfig, convert(values, cls, "config.json"))


def check_names(options: Mapping[str, object]) -> None:
    """Refuse an option that a run does not have.

    Raises:
        UserError: the message suggests a similar option.
    """
    # the recipe is not an option: options change a recipe
    known = [name for name in OPTIONS if name != "recipe"]
    for name in options:
        if name not in known:
            raise UserError(f"a run has no option {name!r};{did_you_mean(name, known)} Known: {', '.join(known)}")

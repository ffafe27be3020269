"""The sections of a run's configuration as groups of flags.

Here, 0 may mean None: checks apply to the resulting configuration, not to the groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeVar, cast, get_type_hints

import tyro

from capsnet.cli.flags import list_fields
from capsnet.cli.parse import key_and_value
from capsnet.runs.config import RunConfig
from capsnet.runs.formats import off_for_zero
from capsnet.runs.sections import (
    OPTIONS,
    AugmentationConfig,
    DataConfig,
    ExecutionConfig,
    ModelConfig,
    Optimizer,
    OptimizerConfig,
    Option,
    Scalar,
)

_Suppressed = Annotated[Mapping[str, Scalar], tyro.conf.Suppress]


@dataclass(frozen=True)
class DataFlags(DataConfig):
    """The images for training, validation and testing."""

    name: Annotated[str, tyro.conf.arg(name="data")] = "digits"
    """Data set: a name (capsnet list data), a folder with a folder of images for each class, a .npz, .csv or .tar file,
    or hf:NAME."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class AugmentationFlags(AugmentationConfig):
    """Preprocessing of all images, and augmentation of training images."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class ModelFlags(ModelConfig):
    """The network, and its initial weights."""

    name: Annotated[str, tyro.conf.arg(name="model")] = "capsnet"
    """Model (capsnet list models)."""
    options: _Suppressed = field(default_factory=dict)
    routing_options: _Suppressed = field(default_factory=dict)
    option: tuple[str, ...] = ()
    """More arguments of the model, KEY=VALUE: --option routing_bias=true primary_scale=0.03125."""
    routing_option: tuple[str, ...] = ()
    """Options of the routing, KEY=VALUE, for example bias=true."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class OptimizerFlags(OptimizerConfig):
    """The optimizer, its learning rate, the length of the run, and the weight of the reconstruction."""

    name: Annotated[Optimizer, tyro.conf.arg(name="optimizer")] = "adam"
    """Adam, or stochastic gradient descent with momentum (sgd)."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class ExecutionFlags(ExecutionConfig):
    """The seed, and how the run is computed."""

    # the recipe is a positional argument before the flags
    recipe: Annotated[str, tyro.conf.Suppress] = "custom"

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class ConfigFlags:
    """A recipe, and the flags of a run in groups.

    Raises:
        UserError: an option has an invalid value.
    """

    recipe: tyro.conf.Positional[
        Annotated[str | None, tyro.conf.arg(metavar="[RECIPE]", help_behavior_hint="(default: quickstart)")]
    ] = None
    """The recipe to start from (capsnet list recipes). For your own images the default is own-images, or own-photos for
    up to 500 photos if its backbone's weights are on this machine."""
    data: DataFlags = field(default_factory=DataFlags)
    augmentation: AugmentationFlags = field(default_factory=AugmentationFlags)
    model: ModelFlags = field(default_factory=ModelFlags)
    optimizer: OptimizerFlags = field(default_factory=OptimizerFlags)
    run: ExecutionFlags = field(default_factory=ExecutionFlags)

    def __post_init__(self) -> None:
        self.config()

    def config(self) -> RunConfig:
        """The configuration of the flags.

        Raises:
            UserError: an option has an invalid value.
        """
        values = {name: getattr(getattr(self, option.section), option.field) for name, option in OPTIONS.items()}
        values["recipe"] = self.recipe or self.run.recipe
        values["model_options"] = _merge(self.model.options, "--option", self.model.option)
        values["routing_options"] = _merge(self.model.routing_options, "--routing-option", self.model.routing_option)
        return RunConfig.from_defaults(**off_for_zero(values))


def _merge(options: Mapping[str, Option], flag: str, words: tuple[str, ...]) -> dict[str, Option]:
    return {**options, **cast(Mapping[str, Option], dict(key_and_value(flag, word) for word in words))}


T = TypeVar("T", bound=ConfigFlags)


def flags_of(verb: type[T], config: RunConfig) -> T:
    """Flags whose defaults are the values of a configuration.

    Args:
        verb: the dataclass of a verb's options.
        config: for the defaults.
    """
    execution: type[ExecutionFlags] = get_type_hints(verb)["run"]
    return verb(
        data=DataFlags(**vars(config.data)),
        augmentation=AugmentationFlags(**vars(config.augmentation)),
        model=ModelFlags(**vars(config.model)),
        optimizer=OptimizerFlags(**vars(config.optimizer)),
        run=execution(**vars(config.run)),
    )


def given_options(args: Sequence[str]) -> list[str]:
    """Options of a run whose flags are on the command line, in the order of the sections."""
    words = {word.removeprefix("--").partition("=")[0].replace("-", "_") for word in args if word.startswith("--")}
    flags = {field.option for field in list_fields(ConfigFlags)}
    names = {word if word in flags else word.removeprefix("no_") for word in words}
    names |= {f"model_{name}s" for name in names & {"option"}} | {f"{name}s" for name in names & {"routing_option"}}
    return [name for name in OPTIONS if name in names]

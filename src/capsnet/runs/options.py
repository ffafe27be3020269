"""Make a configuration from a recipe and options."""

from collections.abc import Collection, Mapping
from pathlib import Path

from capsnet.data import DATASETS, locate_data
from capsnet.data.labelled import find_labelled, is_labelled
from capsnet.errors import UserError
from capsnet.models.backbones import PHOTO_BACKBONE, find_weights
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig, check_names
from capsnet.runs.folder import locate_weights
from capsnet.runs.given import apply_given, note_length
from capsnet.runs.named import CONFIGS
from capsnet.runs.transfer import configure_as

FREE_ON_RESUME = frozenset(("epochs", "steps", "device", "precision", "data_dir", "data", "shards"))
"""Options that may change on resume: length, device, precision, and the path of the data."""

_FREE_OF_CONFIGS = frozenset(("recipe", "execution", "fixed_order"))
"""Options that a whole configuration may have otherwise: its name, and how it is computed."""

FEW_PHOTOS = 500
"""Up to this many photos in a folder, its default is a pre-trained backbone, if its weights are on this machine."""

_SCRATCH = frozenset(("model", "model_options", "start_from", "recon_weight"))


def make_config(recipe: str | RunConfig, options: Mapping[str, object]) -> RunConfig:
    """Apply options to a recipe or a configuration; those without an effect are accepted.

    For your own images, `"quickstart"` means what `own_recipe` returns, as on the command line. With `start_from`,
    the model of the weights is used, with their options, unless `model` is another one.

    Args:
        recipe: name of a recipe, or a configuration.
        options: by name. `model_options` and `routing_options` are added to those of the recipe, as on the command
            line; with another `model` or `routing` they replace them.

    Raises:
        UserError: an unknown recipe or option, or a value out of range.
    """
    check_names(options)
    values = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    if recipe == "quickstart" and are_own_images(values.get("data")):
        recipe = own_recipe(values["data"], values)
    config = CONFIGS.get(recipe) if isinstance(recipe, str) else recipe
    source = values.get("start_from")
    if isinstance(source, str):
        values["start_from"] = locate_weights(source)
        with_weights = configure_as(config, source)
        # another model than that of the weights keeps its own options
        config = with_weights if values.get("model", with_weights.model.name) == with_weights.model.name else config
    return config.change(**{**values, **_add_options(config, values)})


def _add_options(config: RunConfig, values: Mapping[str, object]) -> dict[str, object]:
    """The given options of the model and the routing, added to those that the configuration has for the same ones."""
    same_model = values.get("model", config.model.name) == config.model.name
    same_routing = same_model and values.get("routing", config.model.routing) == config.model.routing
    added: dict[str, object] = {}
    for name, own, same in (
        ("model_options", config.model.options, same_model),
        ("routing_options", config.model.routing_options, same_routing),
    ):
        given = values.get(name)
        if same and isinstance(given, Mapping):
            added[name] = {**own, **given}
    return added


def make_given_config(recipe: str | RunConfig, options: Mapping[str, object]) -> RunConfig:
    """`make_config` of options that a person gave.

    Raises:
        UserError: as there, or an option without an effect.
    """
    return apply_given(make_config(recipe, options), options)


def own_recipe(data: object, options: Collection[str]) -> str:
    """The recipe of your own images if none is named: on a backbone for few photos, if its weights are at hand.

    Args:
        data: the folder or file.
        options: names of the options that were given; those that belong to a network from scratch choose it.
    """
    folder = Path(locate_data(str(data)))
    if not _SCRATCH.isdisjoint(options) or not folder.is_dir() or find_weights(PHOTO_BACKBONE) is None:
        return "own-images"
    # of many photos a network from scratch learns more in the same time (docs/backbones.md)
    few = len(find_labelled(folder).layout.splits["train"]) <= FEW_PHOTOS
    return "own-photos" if few else "own-images"


def describe_recipe(config: RunConfig) -> tuple[str, ...]:
    """What a person should know of a recipe that was chosen because of what is on this machine."""
    backbone = config.model.options.get("backbone")
    if config.run.recipe != "own-photos" or not isinstance(backbone, str):
        return ()
    weights = config.model.options.get("weights") or find_weights(backbone)
    return (
        f"recipe own-photos: capsules on the pre-trained backbone {backbone} (weights: {weights}); the recipe "
        "own-images trains a network from scratch",
    )


def are_own_images(data: object) -> bool:
    """Whether these are a person's own image files or arrays, not the name of a data set."""
    if not isinstance(data, str) or data in DATASETS:
        return False
    # `locate_data` returns the absolute path of a folder or file
    return is_labelled(data) or Path(locate_data(data)).is_absolute()


def keep_decided(before: RunConfig, after: RunConfig) -> RunConfig:
    """A configuration with the precision and pixel range that a run decided at its start, if it leaves them open."""
    given, decided = after.options(), before.options()
    return after.change(
        **{name: decided[name] for name in ("precision", "pixel_range") if given[name] in (None, "auto")},
        epochs=after.optimizer.epochs,
        steps=after.optimizer.steps,
    )


def check_same(before: RunConfig, after: RunConfig) -> None:
    """Check that a resumed run has the configuration it began with, but for what may change and what is left open.

    Args:
        before: of the run.
        after: of which None and `"auto"` are left open.

    Raises:
        UserError: another value of an option that may not change.
    """
    _check_data(before, after)
    earlier, later = as_built(before).options(), as_built(after).options()
    for name, new in later.items():
        is_free = name in FREE_ON_RESUME | _FREE_OF_CONFIGS or new in (None, "auto")
        if new != earlier[name] and not is_free:
            raise _cannot_change(name, earlier[name], new)


def _check_data(before: RunConfig, after: RunConfig) -> None:
    """Data may be given on resume only as the new path of the run's own images.

    Raises:
        UserError: another named data set, or one in place of a folder.
    """
    old, new = before.data.name, after.data.name
    if old != new and (old in DATASETS or new in DATASETS):
        raise UserError(
            f"`data` on resume gives the new path of the run's own images: the run has {old!r}, got {new!r}; start a "
            "new run"
        )


def _cannot_change(name: str, old: object, new: object) -> UserError:
    return UserError(f"{name} cannot change on resume: the run has {old!r}, got {new!r}; start a new run")


def resume_config(before: RunConfig, options: Mapping[str, object]) -> RunConfig:
    """The configuration of a resumed run: only the options in `FREE_ON_RESUME` may change.

    Raises:
        UserError: an option that may not change, or an unknown one.
    """
    note_length(options)
    after = make_config(before, {name: value for name, value in options.items() if name != "start_from"})
    _check_data(before, after)
    earlier, later = before.options(), after.options()
    start = options.get("start_from")
    if start is not None and locate_weights(str(start)) != before.model.start_from:
        raise _cannot_change("start_from", before.model.start_from, str(start))
    for name in options:
        old, new = earlier[name], later[name]
        if old != new and name not in FREE_ON_RESUME:
            raise _cannot_change(name, old, new)
    return after

"""The sections of a configuration, and the options by which they are named."""

import json
from dataclasses import fields

import pytest

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs import RunConfig
from capsnet.runs.sections import OPTIONS, SECTIONS, DataConfig, OptimizerConfig


def test_every_field_is_an_option_of_its_own():
    assert len(OPTIONS) == sum(len(fields(section)) for section in SECTIONS.values())
    assert {name: type(value) for name, value in vars(RunConfig()).items()} == SECTIONS


@pytest.mark.parametrize(
    ("option", "section", "field"),
    [
        ("data", "data", "name"),
        ("model", "model", "name"),
        ("model_options", "model", "options"),
        ("optimizer", "optimizer", "name"),
        ("lr", "optimizer", "lr"),
        ("shift", "augmentation", "shift"),
        ("seed", "run", "seed"),
    ],
)
def test_options_keep_the_names_of_flags(option, section, field):
    assert OPTIONS[option] == (section, field)


@pytest.mark.parametrize("name", RECIPES.names())
def test_options_build_the_same_configuration_again(name):
    config = RECIPES.get(name).config
    assert RunConfig.from_defaults(**config.options()) == config


def test_one_option_changes_one_field():
    before, after = RunConfig(), RunConfig().change(lr=0.5)
    assert after.optimizer == OptimizerConfig(lr=0.5)
    assert (after.data, after.augmentation, after.model, after.run) == (
        before.data,
        before.augmentation,
        before.model,
        before.run,
    )


def test_one_cycle_ends_at_zero_and_stays_there():
    optimizer = OptimizerConfig(schedule="one-cycle", epochs=1, lr=0.1)
    assert optimizer.learning_rate(1, 10) == 0.1
    assert optimizer.learning_rate(9, 10) == pytest.approx(0.1 / 9)
    assert [optimizer.learning_rate(step, 10) for step in (10, 11, 50)] == [0, 0, 0]


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="no option 'limt'; did you mean 'limit'"):
        RunConfig().change(limt=3)


def test_options_in_place_of_sections_are_refused_with_the_way_to_give_them():
    with pytest.raises(UserError, match=r"got epochs=1; .* RunConfig.from_options\(epochs=1\)"):
        RunConfig(epochs=1)
    with pytest.raises(UserError, match=r"got data='mnist'; .* RunConfig.from_options\(data='mnist'\)"):
        RunConfig(data="mnist")
    with pytest.raises(UserError, match=r"got data='quickstart'"):
        RunConfig("quickstart")


def test_sections_are_given_as_they_are():
    assert RunConfig(data=DataConfig("mnist")) == RunConfig.from_defaults(data="mnist")


@pytest.mark.usefixtures("unchecked")
def test_none_is_refused_where_it_stands_for_nothing():
    with pytest.raises(UserError, match="lr must be a number, got None"):
        RunConfig.from_defaults(lr=None)


def test_zero_for_all_is_read_from_files_of_format_2():
    flat = {"format_version": 2, "limit": 0, "steps": 0, "erase": 0, "stop_at": 0.0, "shift": 0, "validation": 0}
    config = RunConfig.from_json(json.dumps(flat))
    assert config == RunConfig.from_defaults(shift=0, validation=0)
    assert (config.data.limit, config.optimizer.steps, config.augmentation.erase) == (None, None, None)


def test_unknown_entry_of_an_older_file_is_refused():
    with pytest.raises(UserError, match="unknown entry 'limt'"):
        RunConfig.from_json('{"format_version": 2, "limt": 3}')


def test_files_hold_sections():
    values = json.loads(RunConfig.from_defaults(lr=0.5).to_json())
    assert list(values) == ["format_version", *SECTIONS]
    assert (values["format_version"], values["optimizer"]["lr"]) == (3, 0.5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["model_options", "routing_options"])
def test_options_that_are_no_mapping_are_refused(name):
    with pytest.raises(UserError, match=f"{name} must be a mapping, got 3"):
        RunConfig.from_defaults(**{name: 3})


@pytest.mark.usefixtures("unchecked")
def test_options_of_a_routing_are_given_in_one_way():
    with pytest.raises(UserError, match="routing_options must be given separately"):
        RunConfig.from_defaults(model_options={"routing_options": {"bias": True}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_range": 5}, "pixel_range must be two numbers, got 5"),
        ({"pixel_range": (0, 1, 2)}, r"pixel_range must be two numbers, got \(0, 1, 2\)"),
        ({"pixel_range": ("0", "1")}, "pixel_range must be two numbers, got"),
        ({"schedule": "step", "lr_milestones": 100}, "lr_milestones must be a list of whole numbers, got 100"),
        ({"erase": 3, "erase_corners": (1,)}, r"erase_corners must be two whole numbers, got \(1,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_lists_of_another_form_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        RunConfig.from_defaults(**options)

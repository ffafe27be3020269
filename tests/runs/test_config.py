import json

import pytest

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs import RunConfig


@pytest.mark.parametrize("name", RECIPES.names())
def test_recipes_survive_json(name):
    config = RECIPES.get(name).config
    assert RunConfig.from_json(config.to_json()) == config
    assert config.run.recipe == name


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": -1}, "epochs must be at least 1 or None, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"shift": -1}, "shift must be at least 0"),
        ({"shift": 2.8}, "shift must be a whole number of pixels, got 2.8; give shift_interpolation 'bilinear'"),
        ({"erase": 4, "erase_corners": (22, 4)}, "FIRST not above LAST, got 22 and 4"),
        ({"erase_corners": (4, 22)}, "erase_corners needs `erase`"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be a finite number, got nan"),
        ({"lr_decay": 1.1}, "lr_decay must be at most 1, got 1.1"),
        ({"momentum": 1.0}, "momentum must be below 1, got 1.0"),
        ({"weight_decay": -1e-4}, "weight_decay must be at least 0"),
        ({"schedule": "step"}, "schedule step and lr_milestones go together"),
        ({"lr_milestones": (3,)}, "schedule step and lr_milestones go together"),
        ({"schedule": "step", "lr_milestones": (3, 0)}, "lr_milestones must be at least 1, got 0"),
        ({"recon_weight": -1.0}, "recon_weight must be at least 0"),
        ({"limit": 0}, "limit must be at least 1 or None, got 0"),
        ({"stop_at": 99.2}, "stop_at must be at most 1 or None, got 99.2"),
        ({"stop_at": 0.9, "validation": 0}, "stop_at needs validation images"),
    ],
)
def test_values_out_of_range_are_refused(values, words):
    with pytest.raises(UserError, match=words):
        RunConfig.from_defaults(**values)


def test_rate_of_the_authors_falls_continuously_to_its_floor():
    config = RECIPES.get("sabour2017-mnist-authors").config
    assert config.optimizer.learning_rate(0, 391) == pytest.approx(1e-3)
    assert config.optimizer.learning_rate(1000, 391) == pytest.approx(1e-3 * 0.96**0.5)
    assert config.optimizer.learning_rate(2000, 391) == pytest.approx(0.96e-3)
    assert config.optimizer.learning_rate(400_000, 391) == 1e-6


def test_rate_of_capsnet_keras_falls_after_each_epoch():
    config = RECIPES.get("capsnet-keras-mnist").config
    rates = [config.optimizer.learning_rate(step, 600) for step in (0, 599, 600, 1199, 1200)]
    assert rates == pytest.approx([1e-3, 1e-3, 0.9e-3, 0.9e-3, 0.81e-3])


def test_rate_of_one_cycle_rises_for_a_fifth_of_the_run_and_falls_to_nothing():
    config = RunConfig.from_defaults(schedule="one-cycle", lr=2e-3, epochs=2)
    rates = [config.optimizer.learning_rate(step, 50) for step in range(100)]
    assert rates[0] == pytest.approx(2e-3 / 20)
    assert max(rates) == rates[19] == pytest.approx(2e-3)
    assert rates[99] == pytest.approx(2e-3 / 81)
    assert rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True)


def test_few_images_are_gone_through_until_there_are_1000_steps():
    config = RunConfig.from_defaults(epochs=None)
    assert config.optimizer.total_steps(6) == 167 * 6
    assert config.optimizer.total_steps(50) == 20 * 50
    assert config.change(steps=7).optimizer.total_steps(6) == 7
    assert config.change(epochs=3).optimizer.total_steps(6) == 18


def test_rate_of_steps_falls_after_each_milestone():
    config = RunConfig.from_defaults(schedule="step", lr=0.1, lr_decay=0.1, lr_milestones=(2, 4))
    rates = [config.optimizer.learning_rate(step, 10) for step in (0, 19, 20, 39, 40, 400)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_rate_falls_to_its_floor_and_not_above_its_start():
    config = RunConfig.from_defaults(lr=5e-4, lr_decay=0.97, lr_decay_steps=None, lr_floor=5e-5)
    assert config.optimizer.learning_rate(149 * 10, 10) == 5e-5
    assert config.change(lr=1e-5).optimizer.learning_rate(0, 10) == 1e-5


def test_milestones_survive_json():
    config = RunConfig.from_defaults(schedule="step", lr_milestones=(150, 250))
    assert RunConfig.from_json(config.to_json()) == config


def test_configuration_of_a_run_before_there_were_optimisers_is_read():
    values = {"format_version": 2, **RunConfig().options()}
    for name in ("optimizer", "momentum", "weight_decay", "lr_milestones", "lr_floor"):
        del values[name]
    assert RunConfig.from_json(json.dumps(values)) == RunConfig()


def test_configuration_of_a_newer_version_is_refused():
    values = json.loads(RunConfig().to_json()) | {"format_version": 99}
    with pytest.raises(UserError, match="newer capsnet"):
        RunConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["[]", "{}", '{"format_version": "x"}'])
def test_json_that_is_no_configuration_is_refused(text):
    with pytest.raises(UserError, match="not that of a run"):
        RunConfig.from_json(text)


@pytest.mark.parametrize("values", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_pixel_range_is_two_finite_numbers_in_order(values):
    with pytest.raises(UserError, match="pixel_range must be finite numbers LOW below HIGH"):
        RunConfig.from_defaults(pixel_range=values)


def test_pixel_range_survives_json():
    config = RunConfig.from_defaults(pixel_range=(-1000.0, 400.0))
    assert RunConfig.from_json(config.to_json()) == config


def test_fixed_order_needs_operations_that_are_called_one_by_one():
    assert not RunConfig().run.fixed_order
    with pytest.raises(UserError, match="fixed_order needs execution eager, got compile"):
        RunConfig.from_defaults(fixed_order=True, execution="compile")


def test_execution_is_chosen_by_the_device_by_default_and_kept_where_a_run_has_one():
    assert RunConfig().run.execution == "auto"
    assert RunConfig.from_json('{"format_version": 1, "execution": "eager"}').run.execution == "eager"


@pytest.mark.parametrize("version", [1, 2])
def test_older_names_in_a_file_are_read_without_a_warning(version):
    values = {"format_version": version, "routing": "max_min", "model_options": {"primary_types": 2, "class_dim": 4}}
    config = RunConfig.from_json(json.dumps(values))
    assert (config.model.routing, config.model.options) == ("max-min", {"num_types": 2, "parent_dim": 4})


def test_epochs_alone_are_the_whole_length_of_a_recipe_with_steps():
    assert RunConfig.from_options("sabour2017-multimnist").optimizer.steps > 1000
    optimizer = RunConfig.from_options("sabour2017-multimnist", epochs=1).optimizer
    assert (optimizer.epochs, optimizer.steps, optimizer.total_steps(70)) == (1, None, 70)
    assert RunConfig.from_defaults(epochs=3, steps=10).optimizer.steps == 10


def test_lists_in_the_options_of_a_model_survive_json():
    config = RunConfig.from_defaults(model="resnet-20", model_options={"stages": [[4, 1, 1], (6, 1, 2)]})
    assert config.model.options == {"stages": ((4, 1, 1), (6, 1, 2))}
    assert RunConfig.from_json(config.to_json()) == config

"""What is on the disk is what was built."""

import json
from pathlib import Path

import pytest

from capsnet.errors import UserError
from capsnet.models import MODELS, create_model
from capsnet.routing import ROUTINGS, Routing
from capsnet.runs import Run, RunConfig
from capsnet.runs.built import as_built, as_planned, built_options
from capsnet.runs.formats import upgrade_options
from capsnet.runs.weights import on_meta

DOCS = Path(__file__).parents[2] / "docs"
CONFIGS = [path for kind in ("runs", "studies") for path in (DOCS / kind).rglob("config.json")]
OLDER = sorted(path.parent for path in CONFIGS if json.loads(path.read_text())["format_version"] < 3)


def routings(model):
    """Names and iterations of the routings in a model; of one that iterates over all layers, its own number."""
    parts = [part for part in model.modules() if isinstance(part, Routing)]
    names = {name for name in ROUTINGS for part in parts if ROUTINGS.get(name) is type(part)}
    counts = {getattr(part, "iterations", None) for part in parts}
    return names, {model.iterations} if hasattr(model, "iterations") else counts


@pytest.mark.parametrize("name", MODELS.names())
def test_routing_of_a_configuration_is_that_of_the_model(name):
    built = as_built(RunConfig.from_defaults(model=name))
    with on_meta():
        names, counts = routings(create_model(name))
    assert names == {built.model.routing} - {None}
    assert counts <= {built.model.iterations}


@pytest.mark.parametrize("name", MODELS.names())
def test_configuration_as_built_builds_the_same_again(name):
    built = as_built(RunConfig.from_defaults(model=name))
    assert as_built(built) == built


@pytest.mark.parametrize("name", ["em-capsnet", "em-capsnet-tiny", "vb-capsnet-tiny", "efficient-capsnet"])
def test_explicit_dynamic_routing_is_honoured(name):
    config = RunConfig.from_defaults(model=name, routing="dynamic", iterations=3)
    with on_meta():
        assert routings(create_model(name, **built_options(config))) == ({"dynamic"}, {3})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "deepcaps", "routing": "em"}, "model 'deepcaps' supports only routing 'dynamic'"),
        ({"model": "baseline-cnn", "routing": "em"}, "model 'baseline-cnn' has no routing"),
        ({"model": "baseline-cnn", "iterations": 3}, "model 'baseline-cnn' has no routing"),
        ({"model": "self-routing-capsnet", "iterations": 3}, "iterations must be left out, got 3"),
        ({"model": "efficient-capsnet", "iterations": 2}, "routing 'self-attention' has no option 'iterations'"),
        ({"routing": "uniform", "iterations": 2}, "routing 'uniform' has no option 'iterations'"),
        ({"iterations": 2, "model_options": {"iterations": 5}}, "iterations 2 and the model option iterations=5"),
        ({"iterations": 2, "routing_options": {"iterations": 5}}, "contradict each other; give one of them"),
        ({"routing": "uniform", "routing_options": {"bias": True}}, "routing 'uniform' has no option 'bias'"),
        ({"model": "deepcaps", "routing_options": {"bias": True}}, "routing_options must be left out"),
        ({"routing": "em", "model_options": {"leaky": True}}, "leaky must be left out, got True"),
        ({"routing": "dinamic"}, "did you mean 'dynamic'"),
    ],
)
def test_routing_that_the_model_cannot_have_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        as_built(RunConfig.from_defaults(**changes))


def test_configuration_of_a_trained_run_holds_what_was_built(tiny_run):
    values = json.loads((tiny_run.folder / "config.json").read_text())
    assert (values["model"]["routing"], values["model"]["iterations"]) == ("dynamic", 3)
    assert (values["optimizer"]["epochs"], values["optimizer"]["recon_weight"]) == (2, 0.0005)
    assert values["run"]["precision"] == json.loads((tiny_run.folder / "environment.json").read_text())["precision"]


@pytest.mark.parametrize("folder", OLDER, ids=lambda folder: "-".join(folder.parts[-3:]))
def test_run_of_an_older_format_opens_with_the_model_that_it_built(folder):
    config, before = Run.open(folder).config, json.loads((folder / "config.json").read_text())
    # the rule by which format 1 was built: what differs from its defaults was given to constructors that take it
    old = {
        name: before[name] for name, default in (("routing", "dynamic"), ("iterations", 3)) if before[name] != default
    }
    with on_meta():
        then = create_model(before["model"], **old, **before["model_options"])
        now = create_model(config.model.name, **built_options(config), **config.model.options)
    assert repr(now) == repr(then)
    assert routings(now)[0] == {config.model.routing} - {None}


@pytest.mark.parametrize(
    ("model", "options", "counted"),
    [
        ("capsnet", {"routing": "uniform", "iterations": 5, "leaky": True}, {"routing": "uniform"}),
        ("capsnet", {"routing": "em"}, {"routing": "em", "iterations": 3}),
        (
            "capsnet",
            {"iterations": 5, "leaky": True, "routing_options": {"bias": True}},
            {"routing_options": {"bias": True}},
        ),
        (
            "em-capsnet",
            {"iterations": 5, "em_form": "paper", "routing_options": {"iterations": 2, "form": "authors"}},
            {"routing_options": {"iterations": 2, "form": "authors"}},
        ),
        ("em-capsnet", {"routing": "uniform", "em_form": "paper"}, {"routing": "uniform"}),
        ("capsnet", {"iterations": 5, "leaky": True}, {"iterations": 5, "leaky": True}),
    ],
)
def test_weights_of_an_older_format_keep_the_options_that_counted(model, options, counted):
    assert upgrade_options(model, options) == counted


def test_older_configuration_of_a_model_from_elsewhere_is_read():
    values = {"format_version": 1, "model": "mine", "routing": "em", "iterations": 3}
    config = RunConfig.from_json(json.dumps(values))
    assert (config.model.name, config.model.routing) == ("mine", "em")


def test_network_without_a_decoder_has_no_weight_for_it():
    assert as_built(RunConfig().change(model="baseline-cnn")).optimizer.recon_weight == 0.0


def test_options_of_a_routing_reach_the_model():
    config = RunConfig.from_defaults(routing_options={"iterations": 5, "leaky": True})
    assert as_built(config).model.iterations == 5
    with on_meta():
        model = create_model("capsnet", **built_options(config))
    (routing,) = [part for part in model.modules() if isinstance(part, Routing)]
    assert (routing.iterations, routing.leaky) == (5, True)


def test_a_run_of_steps_has_no_epochs():
    assert as_built(RunConfig.from_defaults(steps=300, epochs=20)).optimizer.epochs is None
    assert as_built(RunConfig.from_defaults(epochs=20)).optimizer.epochs == 20


@pytest.mark.parametrize(
    ("options", "epochs"),
    [({"epochs": None}, 167), ({"epochs": 3}, 3), ({"epochs": None, "steps": 7}, None)],
)
def test_epochs_and_precision_are_planned_from_the_data_and_the_machine(options, epochs):
    config = as_planned(RunConfig.from_defaults(batch_size=16, **options), 91, "bf16")
    assert (config.optimizer.epochs, config.run.precision) == (epochs, "bf16")

import json
import shutil
from dataclasses import replace

import pytest
import torch

from capsnet.analysis import ANALYSES, analyse
from capsnet.analysis.record import choose, choose_indices, fingerprint, read_record, write_record
from capsnet.data import Dataset, ImageData, load_data
from capsnet.errors import UserError
from capsnet.models import create_model
from capsnet.runs import Run, load


@pytest.mark.parametrize("name", ANALYSES.names())
def test_every_analysis_is_json_with_all_that_a_number_needs(name, tiny_run):
    record = analyse(load(tiny_run.folder), load_data("digits"), name, quick=True, limit=20)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["n"] == 20
    assert record["data"] == "digits"
    assert record["split"] == ANALYSES.get(name).split
    assert record["settings"].keys() == ANALYSES.get(name).settings.keys()
    assert len(ANALYSES.get(name).say(record["results"])) > 60


@pytest.mark.parametrize("name", ANALYSES.names())
def test_every_analysis_takes_colour_images_of_any_shape(name, make_subject):
    model, data = make_subject(classes=3, shape=(3, 22, 26))
    # every image is right, so that some class has two to fit a Gaussian to
    data = replace(data, labels=model(data.images.float() / 255).lengths.argmax(dim=1))
    record = analyse(model, Dataset("photos", data, data), name, quick=True)
    assert record["n"] == 6
    assert json.dumps(record, allow_nan=False)


def test_a_smaller_choice_of_images_is_part_of_a_larger_one():
    small, large = (set(choose_indices(50, count, seed=3).tolist()) for count in (7, 20))
    assert small < large
    assert len(small) == 7


def test_all_images_are_taken_in_order_where_there_are_no_more(make_subject):
    _, data = make_subject()
    assert choose(data, 8, seed=1) is data
    assert torch.equal(choose(data, 3, seed=1).labels, data.labels[choose_indices(8, 3, seed=1)])


def test_several_classes_in_an_image_are_refused(make_subject):
    model, data = make_subject()
    pairs = replace(data)
    object.__setattr__(pairs, "labels", torch.zeros(8, 2, dtype=torch.long))
    with pytest.raises(UserError, match="several classes per image"):
        analyse(model, Dataset("pairs", pairs, pairs), "errors")


def test_records_are_kept_and_bad_files_are_refused(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("last", "figures", "analysis"))
    run = Run.open(tmp_path / "run")
    assert read_record(run, "errors") is None
    record = analyse(run.load_model(), load_data("digits"), "errors", limit=5, weights=fingerprint(run))
    path = write_record(run, record)
    assert read_record(run, "errors") == record
    for text, said in (("{", "is not JSON"), ("{}", "repeat the analysis")):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_record(run, "errors")


def test_an_unknown_analysis_is_refused(make_subject):
    model, data = make_subject()
    with pytest.raises(UserError, match="did you mean 'routing'"):
        analyse(model, Dataset("x", data, data), "routin")


def test_a_network_without_capsules_gives_what_it_can():
    sizes = {"channels": (4,), "kernel_sizes": (5,), "hidden": (8,)}
    model = create_model("baseline-cnn", image_shape=(1, 12, 12), num_classes=3, **sizes).eval()
    data = ImageData(torch.randint(0, 256, (6, 1, 12, 12), dtype=torch.uint8), torch.arange(6) % 3, model.class_names)
    reasons = {}
    for name in ANALYSES.names():
        try:
            analyse(model, Dataset("x", data, data), name, quick=True)
        except UserError as fault:
            reasons[name] = str(fault)
    assert reasons == {
        "capsules": "the model has no capsules: its outputs are the probabilities of a softmax",
        "detection": "the model has no decoder",
        "iterations": "the model has no layer in which every capsule votes for every class",
        "routing": "the model's routing returns no coupling",
        "samples": "the model has no decoder",
    }


def test_a_number_of_images_below_zero_is_refused(make_subject):
    model, data = make_subject()
    with pytest.raises(UserError, match="limit must be at least 0, got -5"):
        analyse(model, Dataset("images", data, data), "errors", limit=-5)

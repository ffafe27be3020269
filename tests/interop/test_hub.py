"""Models as folders and in the Hub's cache: the same model comes back, and its card states its run's numbers."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard, constants, hf_hub_download
from safetensors import safe_open
from tests.interop import fake_hub
from tests.interop.fake_hub import serving

import capsnet
from capsnet.errors import UserError
from capsnet.interop.graph import describe
from capsnet.models import CapsNet, CapsuleModel, EfficientCapsNet
from capsnet.runs import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def saved(tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "tiny-digits"
    return tiny_run.load_model().save_pretrained(folder, run=tiny_run.folder)


@pytest.fixture
def cache(saved, tmp_path, monkeypatch):
    """The Hub's cache as a download of owner/tiny-digits leaves it, without a network."""
    folder = tmp_path / "models--owner--tiny-digits"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    shutil.copytree(saved, folder / "snapshots" / COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    # its default is read when the function is defined
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *a, **k: hf_hub_download(*a, **in_cache(k, tmp_path)))
    return tmp_path


def in_cache(options, folder):
    return {**options, "cache_dir": options.get("cache_dir") or folder}


def equal(model, other):
    own, others = model.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[name], others[name]) for name in own)


def test_saved_folder_holds_safetensors_and_text_only(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    with safe_open(saved / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["capsnet"])["model"] == "capsnet-tiny"
    assert json.loads((saved / "config.json").read_text())["options"]["num_classes"] == 10


def test_saved_model_comes_back_with_all_that_it_knows(saved, tiny_run):
    model = tiny_run.load_model()
    for again in (capsnet.load(saved), CapsuleModel.from_pretrained(saved), CapsNet.from_pretrained(str(saved))):
        assert equal(model, again)
        assert not again.training
        for name in ("class_names", "inputs", "preparation", "data", "doubt", "created_by"):
            assert getattr(again, name) == getattr(model, name), name
    assert capsnet.evaluate(saved, "digits").accuracy == capsnet.evaluate(tiny_run, "digits").accuracy


def test_card_states_the_numbers_of_the_run(saved, tiny_run):
    card, test = ModelCard.load(saved / "README.md"), tiny_run.evaluation()["test"]
    assert f"| test error | {test['error_percent']:.2f} % of {test['n']} images (95 % interval" in card.text
    assert "346,896 parameters (227,136 and a decoder of 119,760)" in card.text
    assert 'capsnet.load("hf:OWNER/NAME")' in card.text
    assert card.data.library_name == "capsnet"
    [result] = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "digits",
        "accuracy",
        round(test["accuracy"], 6),
    )


def test_folders_of_this_machine_are_not_published(photos, tmp_path):
    run = capsnet.train(
        model="capsnet-tiny", data=photos, image_size=20, steps=1, batch_size=4, out=tmp_path / "run", device="cpu"
    )
    model = run.load_model()
    assert model.data == str(photos)
    folder = model.save_pretrained(tmp_path / "saved", run=run.folder)
    for path in folder.iterdir():
        assert str(photos.parent).encode() not in path.read_bytes(), path.name
    assert f"trained on {photos.name}:" in (folder / "README.md").read_text()
    about = describe(model, "uint8")
    assert (about.data, about.model) == (photos.name, "capsnet-tiny")


def test_card_without_a_run_states_no_error(tmp_path):
    model = capsnet.create_model("capsnet-tiny", num_classes=3, decoder=False)
    text = (model.save_pretrained(tmp_path / "fresh") / "README.md").read_text()
    assert "This card states no test error: no run folder was given." in text
    assert "| options | `num_classes=3`, `decoder=False` |" in text
    assert "test error |" not in text


def test_run_of_other_weights_is_refused(tiny_run, tmp_path):
    model = tiny_run.load_model()
    with torch.no_grad():
        model.stem.weight[0] += 1
    with pytest.raises(UserError, match="its weights are not those of the model"):
        model.save_pretrained(tmp_path / "changed", run=tiny_run.folder)


def test_nothing_is_overwritten(saved, tiny_run):
    with pytest.raises(UserError, match="exists and is not empty"):
        tiny_run.load_model().save_pretrained(saved)


def test_a_class_of_the_user_needs_an_object(tmp_path):
    # a model that its class made
    model = CapsNet(stem_channels=4, num_types=2, decoder=False)
    folder = model.save_pretrained(tmp_path / "own")
    assert "model=YourClass()" in (folder / "README.md").read_text()
    with pytest.raises(UserError, match="a network of your own class, CapsNet"):
        capsnet.load(folder)
    again = capsnet.load(folder, model=CapsNet(stem_channels=4, num_types=2, decoder=False))
    assert equal(model, again)


def test_an_option_that_no_file_holds_is_refused(tmp_path):
    routing = capsnet.routing.make_routing("uniform", 12, 3, child_dim=4, parent_dim=4)
    model = capsnet.create_model("capsnet-tiny")
    model.created_by = replace(model.created_by, options={"routing": routing})
    with pytest.raises(UserError, match=r"was created with routing=.*, an object that cannot be saved"):
        model.save_pretrained(tmp_path / "object")


def test_another_class_is_refused(saved):
    with pytest.raises(UserError, match="holds a CapsNet, not a EfficientCapsNet"):
        EfficientCapsNet.from_pretrained(saved)


def test_a_folder_that_is_no_model_is_refused(tiny_run):
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        CapsuleModel.from_pretrained(tiny_run.folder)


@pytest.mark.parametrize(
    "source", ["hf:owner/tiny-digits", "hf:owner/tiny-digits@main", f"hf:owner/tiny-digits@{COMMIT}"]
)
def test_model_in_the_cache_is_loaded_without_a_network(cache, tiny_run, source):
    assert equal(capsnet.load(source), tiny_run.load_model())


def test_from_pretrained_reads_the_cache_that_it_is_given(cache, tiny_run):
    model = CapsuleModel.from_pretrained("owner/tiny-digits", cache_dir=cache, revision="main")
    assert equal(model, tiny_run.load_model())


def test_run_starts_from_a_model_in_the_cache(cache, tmp_path, capsys):
    run = capsnet.train(data="digits", start_from="hf:owner/tiny-digits", steps=1, limit=64, out=tmp_path / "run")
    assert "are carried over from hf:owner/tiny-digits" in capsys.readouterr().err
    assert run.config.model.start_from == "hf:owner/tiny-digits"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:owner/other", "is not in the cache .*; connect to the network and unset HF_HUB_OFFLINE, or copy"),
        ("hf:owner/tiny-digits@v9", "is not in the cache"),
        ("hf:a/b/c", "is hf:OWNER/NAME"),
    ],
)
def test_what_cannot_be_loaded_names_the_remedy(cache, source, message):
    with pytest.raises(UserError, match=message):
        capsnet.load(source)


def test_pushed_model_comes_back_from_the_hub(tiny_run, tmp_path, monkeypatch):
    model = tiny_run.load_model()
    with serving() as (address, files):
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        pushed = model.push_to_hub("owner/tiny-digits", run=tiny_run.folder, token="hf_none")
        assert pushed == f"{address}/owner/tiny-digits/commit/{fake_hub.COMMIT}"
        assert equal(capsnet.load("hf:owner/tiny-digits"), model)
        with pytest.raises(UserError, match=r"hf:owner/other holds no model\.safetensors"):
            capsnet.load("hf:owner/other")
    names = ["README.md", "config.json", "model.safetensors"]
    assert sorted(files) == [f"owner/tiny-digits/{name}" for name in names]
    assert b'capsnet.load("hf:owner/tiny-digits")' in files["owner/tiny-digits/README.md"]


def test_push_without_a_network_names_the_remedy(tiny_run, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"the Hub cannot be reached .*upload the folder later: hf upload"):
        tiny_run.load_model().push_to_hub("owner/tiny-digits")


def test_without_the_extra_its_name_is_given(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    for use in (hub.check_hub, lambda: tiny_run.load_model().save_pretrained(tmp_path / "x")):
        with pytest.raises(UserError, match=r"pip install 'capsnet\[hub\]'"):
            use()

"""Features of a frozen backbone are computed once, and belong to its weights and the images."""

import logging

import pytest
import torch
from torch import nn

import capsnet
from capsnet.data.pairs import Pairing
from capsnet.data.transforms import Augmentation
from capsnet.inference.evaluate import evaluate_model
from capsnet.runs import RunConfig
from capsnet.training.distributed import Processes
from capsnet.training.features import share_features, with_features

PLAIN = {"shift": 0, "recon_weight": 0.0, "limit": 64, "test_limit": 40, "batch_size": 16, "precision": "fp32"}


class Tower(nn.Sequential):
    """A backbone that counts the images it was given."""

    images = 0

    def __init__(self):
        super().__init__(nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1))

    def forward(self, images):
        Tower.images += len(images)
        return super().forward(images)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(Tower, "images", 0)
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def data():
    images = torch.randint(256, (90, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return capsnet.Dataset.from_arrays(images.numpy(), [0, 1, 2] * 30)


def make(seed=0, **options):
    torch.manual_seed(seed)
    return capsnet.create_model(
        "backbone-capsnet", image_shape=(1, 16, 16), num_classes=3, backbone=Tower(), **options
    ).eval()


def test_features_are_those_of_the_model_whatever_the_split(data, cache):
    model = make()
    halves = [data.train.select(torch.arange(30)), data.train.select(torch.arange(30, len(data.train)))]
    first, second = with_features(model, halves)
    expected = model.features(data.train.images.float() / 255)
    everything = torch.arange(len(second))
    assert torch.allclose(second.features.read(everything), expected[30:], atol=1e-6)
    seen, files = Tower.images, list(cache.iterdir())
    (whole,) = with_features(model, [data.train.select(torch.arange(len(data.train)).flip(0))])
    assert torch.allclose(whole.features.read(torch.arange(len(whole))), expected.flip(0), atol=1e-6)
    # from the cache: two images were computed again, to check it
    assert (Tower.images - seen, list(cache.iterdir())) == (2, files)
    assert len(first.select(torch.tensor([3])).features) == 1


def test_training_reads_each_image_once_and_equals_training_without_features(data, tmp_path, monkeypatch):
    once = make()
    capsnet.train(model=once, data=data, out=tmp_path / "once", epochs=2, **PLAIN)
    images = Tower.images
    monkeypatch.setattr("capsnet.training.features.Augmentation", object)
    each = make()
    capsnet.train(model=each, data=data, out=tmp_path / "each", epochs=2, **PLAIN)
    assert images < 100 < Tower.images - images
    for name, weight in once.state_dict().items():
        assert torch.allclose(weight, each.state_dict()[name], atol=1e-5), name


def test_other_weights_have_other_features(data):
    (first,), (second,) = (with_features(make(seed), [data.train]) for seed in (0, 1))
    assert not torch.equal(first.features.table, second.features.table)


def test_another_code_of_the_backbone_makes_them_anew(data, monkeypatch, caplog):
    with_features(make(), [data.train])
    monkeypatch.setattr(Tower, "forward", lambda self, images: 2 * nn.Sequential.forward(self, images))
    model = make()
    with caplog.at_level(logging.WARNING, "capsnet"):
        (part,) = with_features(model, [data.train])
    assert "another version of the backbone" in caplog.text
    expected = model.features(data.train.images.float() / 255)
    assert torch.allclose(part.features.read(slice(None)), expected, atol=1e-6)


def test_damaged_file_is_made_anew(data, cache, caplog):
    (before,) = with_features(make(), [data.train])
    expected = before.features.table.clone()
    (path,) = cache.iterdir()
    content = bytearray(path.read_bytes())
    content[-2] ^= 64
    path.write_bytes(content)
    (after,) = with_features(make(), [data.train])
    assert "checksum differs" in caplog.text
    assert torch.equal(after.features.table, expected)


def test_cache_that_cannot_be_written_only_costs_time(data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "file"))
    (part,) = with_features(make(), [data.train])
    assert len(part.features) == len(data.train)


def test_evaluation_with_features_equals_that_of_images(data):
    model = make()
    (part,) = with_features(model, [data.test])
    with_images = evaluate_model(model, data.test, name="", split="test")
    from_features = evaluate_model(model, part, name="", split="test")
    assert from_features.confusion == with_images.confusion
    assert from_features.margin_loss == pytest.approx(with_images.margin_loss, rel=1e-5)


def test_augmentation_is_named_as_the_reason_without_features(data, tmp_path, capsys, cache):
    capsnet.train(model=make(), data=data, out=tmp_path / "run", steps=1, **{**PLAIN, "shift": 1})
    assert "augmentation changes every image in every epoch" in capsys.readouterr().err
    assert not cache.exists()


def test_tuned_backbone_has_no_features(data, tmp_path, capsys, cache):
    capsnet.train(model=make(frozen=False), data=data, out=tmp_path / "run", steps=1, **PLAIN)
    assert "augmentation" not in capsys.readouterr().err
    assert not cache.exists()


def test_pairs_have_no_features_and_no_note(data):
    model = make()
    model.pairing = Pairing()
    parts, notes = share_features(model, [data.train], Augmentation(), RunConfig.from_defaults(), Processes())
    assert (parts[0].features, notes) == (None, ())

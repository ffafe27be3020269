"""Capsules on a backbone: a module, an untrained ResNet-20, or a model of timm (a small stand-in here)."""

import sys
import types

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import capsnet
from capsnet.errors import UserError
from capsnet.models.backbones import find_weights


def tower(channels=3):
    return nn.Sequential(nn.Conv2d(channels, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1))


class Features(nn.Sequential):
    """A feature extractor of timm: a list of maps."""

    feature_info = types.SimpleNamespace(channels=lambda: [8], reduction=lambda: [4])

    def forward(self, images):
        return [super().forward(images)]


@pytest.fixture
def timm(monkeypatch):
    """A timm of one model, which counts how often trained weights were asked for."""
    asked = []

    def create_model(name, *, pretrained, features_only, out_indices, pretrained_cfg_overlay):
        assert features_only
        assert out_indices == (-1,)
        if name != "tower.trained":
            raise RuntimeError(f"Unknown model ({name})")
        model = Features(*tower())
        if pretrained:
            asked.append(pretrained_cfg_overlay)
            if pretrained_cfg_overlay is None:
                raise OSError("no network")
            model.load_state_dict(load_file(pretrained_cfg_overlay["file"]))
        return model

    settings = types.SimpleNamespace(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1), input_size=(3, 224, 224))
    module = types.SimpleNamespace(create_model=create_model, get_pretrained_cfg=lambda name: settings)
    monkeypatch.setitem(sys.modules, "timm", module)
    return asked


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tower.safetensors"
    save_file(tower().state_dict(), path)
    return path


def test_module_as_backbone_is_frozen_with_its_batch_statistics():
    backbone = tower()
    model = capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 24), num_classes=4, backbone=backbone)
    before = backbone[1].running_mean.clone()
    output = model.train()(torch.rand(2, 3, 16, 24))
    output.lengths.sum().backward()
    assert output.lengths.shape == (2, 4)
    assert model.class_capsules.num_children == 4 * 6 * 16
    assert torch.equal(backbone[1].running_mean, before)
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert model.primary_capsules.conv.weight.grad.abs().sum() > 0


def test_frozen_backbone_passes_the_gradient_to_the_images():
    model = capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 16), backbone=tower()).eval()
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(images).lengths.sum(), images)
    assert gradient.abs().sum() > 0


def test_tuned_backbone_learns():
    model = capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 16), backbone=tower(), frozen=False)
    model.train()(torch.rand(2, 3, 16, 16)).lengths.sum().backward()
    assert model.backbone[0].weight.grad.abs().sum() > 0


def test_output_is_that_of_features_primary_and_class_capsules(timm, weights):
    model = capsnet.create_model(
        "backbone-capsnet", image_shape=(3, 16, 16), backbone="tower.trained", weights=str(weights)
    )
    images = torch.rand(2, 3, 16, 16)
    plain = tower().eval()
    plain.load_state_dict(load_file(weights))
    mean, std = torch.tensor([0.5, 0.4, 0.3])[:, None, None], torch.tensor([0.2, 0.2, 0.1])[:, None, None]
    expected = model.class_capsules(model.primary_capsules(plain((images - mean) / std))).activations
    assert torch.allclose(model(images).lengths, expected)


def test_grey_images_are_repeated_for_three_channels(timm, weights):
    options = {"backbone": "tower.trained", "weights": str(weights)}
    model = capsnet.create_model("backbone-capsnet", image_shape=(1, 16, 16), **options)
    grey = torch.rand(2, 1, 16, 16)
    colour = (grey.expand(-1, 3, -1, -1) - model.mean) / model.std
    assert torch.equal(model.features(grey), model.backbone(colour)[-1])
    with pytest.raises(UserError, match=r"takes 3 channels \(or 1, repeated\), got 2"):
        capsnet.create_model("backbone-capsnet", image_shape=(2, 16, 16), **options)


def test_saved_run_needs_no_weights_of_the_backbone(timm, weights, tmp_path):
    options = {"backbone": "tower.trained", "weights": str(weights)}
    run = capsnet.train(
        model="backbone-capsnet", model_options=options, recon_weight=0.0, steps=1, limit=64, out=tmp_path / "run"
    )
    weights.unlink()
    model = capsnet.load(run.folder)
    assert timm == [{"file": str(weights)}]
    assert model.frozen
    assert torch.equal(model.mean.flatten(), torch.tensor([0.5, 0.4, 0.3]))


def test_weights_in_the_cache_are_used(timm, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(try_to_load_from_cache=lambda *_: None))
    assert find_weights("tower.trained") is None
    cached = tmp_path / "backbones" / "tower.trained.safetensors"
    cached.parent.mkdir()
    weights.rename(cached)
    assert find_weights("tower.trained") == cached
    capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 16), backbone="tower.trained")
    assert timm == [{"file": str(cached)}]


def test_weights_that_cannot_be_had_are_named(timm, tmp_path):
    make = capsnet.create_model
    with pytest.raises(UserError, match=r"\(no network\).*huggingface.co/timm/tower.trained .* weights=FILE"):
        make("backbone-capsnet", backbone="tower.trained")
    with pytest.raises(UserError, match=r"must be a \.safetensors file, which runs no code, got w\.bin"):
        make("backbone-capsnet", backbone="tower.trained", weights="w.bin")
    with pytest.raises(UserError, match="no such file; it should hold the weights of tower"):
        make("backbone-capsnet", backbone="tower.trained", weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(UserError, match=r"weights belong to a timm model, got weights='w' for backbone 'resnet20'"):
        make("backbone-capsnet", weights="w")


def test_missing_timm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"needs the package timm: pip install 'capsnet\[backbones\]'"):
        capsnet.create_model("backbone-capsnet", backbone="resnet18.a1_in1k")


def test_backbone_without_maps_is_refused():
    pooled = nn.Sequential(tower(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match=r"must give feature maps .* got \(1, 8\); leave out its pooling"):
        capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 16), backbone=pooled)
    with pytest.raises(UserError, match=r"cannot take images b x \(1, 16, 16\)"):
        capsnet.create_model("backbone-capsnet", image_shape=(1, 16, 16), backbone=tower())


def test_model_with_a_module_is_a_model_of_the_users():
    assert capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 16), backbone=tower()).created_by is None
    assert capsnet.create_model("backbone-capsnet").created_by.name == "backbone-capsnet"


def test_a_backbone_that_is_unfrozen_by_hand_learns():
    model = capsnet.create_model("backbone-capsnet", image_shape=(3, 16, 16), num_classes=3, backbone=tower())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    model.requires_grad_(True)
    model(torch.rand(2, 3, 16, 16)).lengths.sum().backward()
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())

from dataclasses import replace

import pytest
import torch

from capsnet.analysis.samples import decode, fit_gaussian, measure_samples, sample_gaussian, say_samples
from capsnet.errors import UserError


def test_samples_have_the_mean_and_covariance_asked_for():
    mean = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    root = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, -0.5, 0.1]], dtype=torch.float64)
    poses = sample_gaussian(mean, root @ root.T, 200_000, torch.Generator().manual_seed(0))
    found_mean, found_covariance = fit_gaussian(poses)
    # five standard errors of a mean and of a variance of one
    assert found_mean.tolist() == pytest.approx(mean.tolist(), abs=5 / 200_000**0.5)
    assert torch.allclose(found_covariance, root @ root.T, atol=5 * (2 / 200_000) ** 0.5)


def test_samples_of_a_singular_covariance_stay_in_its_plane():
    covariance = torch.ones(2, 2)
    poses = sample_gaussian(torch.zeros(2), covariance, 50, torch.Generator().manual_seed(0))
    assert torch.allclose(poses[:, 0], poses[:, 1], atol=1e-6)
    assert poses[:, 0].abs().max() > 0.5


def test_fit_of_two_poses_by_hand():
    mean, covariance = fit_gaussian(torch.tensor([[0.0, 2.0], [2.0, 2.0]]))
    assert mean.tolist() == [1, 2]
    assert covariance.tolist() == [[2, 0], [0, 0]]


def test_decode_draws_the_capsule_of_its_class_alone(make_subject):
    model, data = make_subject()
    output = model(data.images.float() / 255)
    expected = model.reconstruct(output.capsules, torch.full((8,), 2))
    assert torch.allclose(decode(model, output.capsules.poses[:, 2].detach(), 2, 4), expected, atol=1e-6)


def test_classes_are_fitted_to_their_correct_images_only(make_subject):
    model, data = make_subject()
    output = model(data.images.float() / 255)
    predicted = output.lengths.argmax(dim=1)
    # one image is said to be of a class of others that are classified correctly
    often = predicted.mode().values
    wrong = (predicted != often).nonzero()[0]
    data = replace(data, labels=predicted.index_fill(0, wrong, int(often)))
    correct = data.labels == predicted
    assert (~correct).sum() == 1
    found = measure_samples(model, data, samples=3)
    counts = torch.bincount(data.labels[correct], minlength=4)
    assert {item["label"]: item["n"] for item in found["classes"]} == {
        label: count for label, count in enumerate(counts.tolist()) if count > 1
    }
    for entry in found["classes"]:
        poses = output.capsules.poses[correct & (data.labels == entry["label"]), entry["label"]].detach()
        assert entry["mean"] == pytest.approx(poses.mean(dim=0).tolist(), rel=1e-4, abs=1e-6)
    assert "of 16" in say_samples(found)


def test_models_and_data_that_give_nothing_are_refused(make_subject):
    with pytest.raises(UserError, match="no decoder"):
        measure_samples(*make_subject(decoder=False))
    model, data = make_subject()
    one = data.select(torch.tensor([0]))
    with pytest.raises(UserError, match="no class has two"):
        measure_samples(model, one)

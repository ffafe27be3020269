"""Models of sequences, and what every one of them must do."""

import pytest
import torch
from safetensors.torch import save_file

from capsnet import UserError
from capsnet.data.spectrogram import LogMel
from capsnet.losses.class_loss import class_loss
from capsnet.models import SEQUENCE_MODELS, create_segmenter, create_sequence_model, load_sequence_model
from capsnet.routing import ROUTINGS

SMALL = {"in_channels": 3, "num_classes": 4, "stem_channels": (8, 8), "kernel_size": 3}
CAPSULES = {**SMALL, "num_types": 2, "child_dim": 4, "parent_dim": 4, "primary_kernel": 3}
LENGTHS = torch.tensor([12, 7, 3])
# self-routing learns of each child; inverted dot products have no activations to classify by
REFUSED = ("self-routing", "inverted-dot-product")
OPTIONS = {"self-attention": {"prior": False}}


def small(name="sequence-capsnet", **options):
    torch.manual_seed(0)
    return create_sequence_model(name, **{**(CAPSULES if name == "sequence-capsnet" else SMALL), **options})


def padded(filler=0.0):
    torch.manual_seed(1)
    return torch.randn(3, 3, 12).masked_fill(torch.arange(12) >= LENGTHS[:, None, None], filler)


def check_padding(model, filler):
    """Outputs and gradients of padded sequences are those of each sequence alone."""
    # in training the batch normalisation of some routings mixes samples
    model.eval()
    sequences = padded(filler)
    output = model(sequences, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(sequences[row : row + 1, :, :length])
        torch.testing.assert_close(output.lengths[row], alone.lengths[0])
        torch.testing.assert_close(output.capsules.poses[row], alone.capsules.poses[0])
    output.lengths.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("routing", [name for name in ROUTINGS if name not in REFUSED])
def test_padding_never_votes_with_any_routing(routing):
    check_padding(small(routing=routing, routing_options=OPTIONS.get(routing)), torch.nan)


@pytest.mark.parametrize("filler", [torch.nan, 1e9])
@pytest.mark.parametrize("name", SEQUENCE_MODELS.names())
def test_padding_has_no_influence_on_any_model(name, filler):
    check_padding(small(name), filler)


def test_coupling_of_a_window_is_shared_among_classes_and_that_of_padding_is_zero():
    coupling = small()(padded(), LENGTHS).coupling
    assert coupling.shape == (3, 5 * 2, 4)
    # windows that begin at 0, 2, 4 end inside of 7 steps
    torch.testing.assert_close(coupling[1].sum(dim=1), torch.tensor([1.0] * 6 + [0.0] * 4))


def test_windows_of_primary_capsules():
    windows, coupling = small().windows, torch.rand(2, 5 * 2, 4)
    # steps 0 to 2, 2 to 4, 4 to 6
    assert (windows.count(7), windows.count(8), windows.count(2)) == (3, 3, 0)
    assert windows.middles(3).tolist() == [1.5, 3.5, 5.5]
    torch.testing.assert_close(windows.coupling(coupling)[1, 3], (coupling[1, 6] + coupling[1, 7]) / 2)


@pytest.mark.parametrize("name", SEQUENCE_MODELS.names())
def test_model_learns_which_channel_is_loud(name):
    model, random = small(name), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(16):
        lengths = torch.randint(3, 13, (64,), generator=random)
        labels = torch.randint(3, (64,), generator=random)
        sequences = torch.randn(64, 3, 12, generator=random) + 3 * torch.nn.functional.one_hot(labels, 3)[..., None]
        output = model(sequences, lengths)
        loss = class_loss(model.loss, output, labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (output.lengths.argmax(dim=1) == labels).float().mean() > 0.9


@pytest.mark.parametrize("name", SEQUENCE_MODELS.names())
def test_a_saved_model_equals_the_loaded_one(name, tmp_path):
    model = small(name)
    model.class_names, model.preparation = ("a", "b", "c", "d"), LogMel(16000, 30)
    model.save(tmp_path / "model.safetensors")
    loaded = load_sequence_model(tmp_path / "model.safetensors")
    assert loaded(padded(), LENGTHS).lengths.equal(model.eval()(padded(), LENGTHS).lengths)
    assert (loaded.class_names, loaded.preparation) == (model.class_names, model.preparation)


def test_a_file_of_another_kind_is_refused(tmp_path):
    file = tmp_path / "weights.safetensors"
    with pytest.raises(UserError, match="no file "):
        load_sequence_model(file)
    file.write_bytes(b"no")
    with pytest.raises(UserError, match="cannot read"):
        load_sequence_model(file)
    create_segmenter("unet-small", image_shape=(1, 8, 8), channels=2).save(file)
    with pytest.raises(UserError, match="holds no sequence model"):
        load_sequence_model(file)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("[]", "is damaged"),
        ('{"name": "sequence-cnn"}', "is damaged"),
        ('{"name": "sequence-cnn", "options": {"kernel_size": 2}}', "must be odd"),
        ('{"name": "sequence-cnn", "options": {}}', "do not fit its options"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, spec, message):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors", {"capsnet-sequence-model": spec})
    with pytest.raises(UserError, match=message):
        load_sequence_model(tmp_path / "model.safetensors")


def test_decoder_reconstructs_sequences_of_their_lengths():
    model = small(decoder=True)
    output = model(padded(), LENGTHS)
    decoded = model.reconstruct(output.capsules, LENGTHS)
    assert decoded.shape == (3, 3, 12)
    torch.testing.assert_close(decoded, model.reconstruct(output.capsules, LENGTHS, output.lengths.argmax(dim=1)))
    (output.lengths.sum() + decoded.square().sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with pytest.raises(UserError, match="create it with decoder=True"):
        small().reconstruct(output.capsules, LENGTHS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routing": "self-routing"}, "num_children must be a number"),
        ({"routing": "inverted-dot-product"}, "computes no activations"),
        ({"in_chanels": 2}, "sequence model 'sequence-capsnet' has no option 'in_chanels'; did you mean 'in_channels'"),
        ({"kernel_size": 2}, "must be odd"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([12, 7, 2]), r"lengths must be from 3 to 12, got \[12, 7, 2\]"),
    ],
)
def test_lengths_without_a_capsule_are_refused(lengths, message):
    with pytest.raises(UserError, match=message):
        small()(padded(), lengths)


def test_the_control_of_spoken_digits_has_as_many_parameters_within_a_hundredth():
    def count(name, **options):
        return sum(value.numel() for value in create_sequence_model(name, device="meta", **options).parameters())

    assert count("sequence-capsnet") == 64_448
    assert count("sequence-cnn") == pytest.approx(64_448, rel=0.01)


def test_a_number_out_of_bounds_is_named_as_it_was_given():
    with pytest.raises(UserError, match=r"^in_channels must be at least 1, got 0"):
        small(in_channels=0)

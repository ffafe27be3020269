"""Labels that are none are refused wherever a public function takes labels."""

from functools import partial

import pytest
import torch

from capsnet import CapsNetOutput, Capsules, create_model
from capsnet.errors import UserError
from capsnet.layers import Decoder, SharedDecoder, UpsamplingDecoder
from capsnet.losses import LOSSES, activation_nll_loss, cross_entropy_loss, margin_loss, spread_loss
from capsnet.losses.class_loss import class_loss

pytestmark = pytest.mark.usefixtures("unchecked")
LABELS = torch.tensor([0, 2, 1, 2])
LENGTHS = torch.tensor([[0.8, 0.1, 0.3], [0.2, 0.7, 0.1], [0.3, 0.6, 0.9], [0.9, 0.2, 0.4]])
POSES = torch.linspace(-1, 1, 4 * 3 * 5).reshape(4, 3, 5)


def class_losses(name, labels):
    # logits are poses of one dimension
    poses = POSES[..., :1] if name == "cross-entropy" else POSES
    return class_loss(name, CapsNetOutput(Capsules(poses, LENGTHS), LENGTHS, None), labels)


TAKERS = {
    "margin_loss": lambda labels: margin_loss(LENGTHS, labels, reduction="none"),
    "spread_loss": lambda labels: spread_loss(LENGTHS, labels, reduction="none"),
    "activation_nll_loss": lambda labels: activation_nll_loss(LENGTHS, labels, reduction="none"),
    "cross_entropy_loss": lambda labels: cross_entropy_loss(LENGTHS, labels, reduction="none"),
    "Decoder": lambda labels: Decoder(3, 5, (1, 4, 4))(POSES, labels),
    "UpsamplingDecoder": lambda labels: UpsamplingDecoder(3, 5, (1, 4, 4))(POSES, labels),
    "SharedDecoder": lambda labels: SharedDecoder(5, (1, 8, 8))(POSES, labels),
    **{f"class_loss {name}": partial(class_losses, name) for name in LOSSES},
}
takers = pytest.mark.parametrize("taker", TAKERS)


def take(taker, labels):
    torch.manual_seed(0)
    return TAKERS[taker](labels)


@takers
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_column_of_labels_is_read_as_a_row(taker, dtype):
    torch.testing.assert_close(take(taker, LABELS[:, None].to(dtype)), take(taker, LABELS))


@takers
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS + 1, "labels must be from 0 to 2 for 3 classes, got 1 to 3; subtract 1"),
        (LABELS - 1, "labels must be from 0 to 2 for 3 classes, got -1 to 1"),
        (LABELS.float(), r"labels must be whole numbers, the class indices, got torch.float32; use labels.long\(\)"),
        (LABELS[:3], r"labels must be 4 class indices, one for each sample, got the shape \(3,\)"),
        (LABELS[None], r"labels must be 4 class indices, one for each sample, got the shape \(1, 4\)"),
    ],
)
def test_what_is_no_label_is_refused(taker, labels, words):
    with pytest.raises(UserError, match=words):
        take(taker, labels)


@pytest.mark.parametrize("taker", [name for name in TAKERS if name != "margin_loss"])
def test_rows_of_marks_are_no_labels(taker):
    with pytest.raises(UserError, match=r"got the shape \(4, 3\)"):
        take(taker, torch.nn.functional.one_hot(LABELS, 3))


def test_marks_of_two_classes_are_not_taken_for_pairs():
    lengths = LENGTHS[:, :2]
    output = CapsNetOutput(Capsules(POSES[:, :2], lengths), lengths, None)
    with pytest.raises(UserError, match=r"use labels.argmax\(dim=1\)"):
        class_loss("margin", output, torch.eye(2).long()[[0, 1, 0, 1]])


def test_a_column_for_one_class_marks_where_it_is():
    lengths = torch.tensor([[0.5], [0.5]])
    losses = margin_loss(lengths, torch.tensor([[1.0], [0.0]]), reduction="none")
    torch.testing.assert_close(losses, torch.tensor([0.4**2, 0.5 * 0.4**2]))


def test_rows_that_are_no_marks_are_refused():
    with pytest.raises(UserError, match="must be 1 for each class that is there, else 0"):
        margin_loss(LENGTHS, LENGTHS)


def test_labels_are_checked_without_a_break_in_a_compiled_function():
    compiled = torch.compile(lambda labels: margin_loss(LENGTHS, labels), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(LABELS[:, None]), margin_loss(LENGTHS, LABELS))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), r"got torch.uint8; .* images / 255, or model.inputs\(images\)"),
        (torch.zeros(2, 28, 28), r"must have four axes, b x \(1, 28, 28\), got \(2, 28, 28\)"),
        (torch.zeros(1, 28, 28), r"for a single image use image\[None\]"),
        (torch.zeros(2, 3, 28, 28), r"images must be b x \(1, 28, 28\), got \(2, 3, 28, 28\)"),
    ],
)
def test_what_is_no_image_of_the_model_is_refused(images, words):
    with pytest.raises(UserError, match=words):
        create_model("capsnet-tiny")(images)


def test_model_draws_the_labelled_capsules_of_a_column():
    model = create_model("capsnet-tiny", num_classes=3)
    capsules = model(torch.rand(4, 1, 28, 28)).capsules
    torch.testing.assert_close(model.reconstruct(capsules, LABELS[:, None]), model.reconstruct(capsules, LABELS))


@takers
def test_labels_that_are_no_tensor_are_refused(taker):
    with pytest.raises(UserError, match=r"must be a tensor, got list; use torch\.as_tensor"):
        TAKERS[taker](LABELS.tolist())

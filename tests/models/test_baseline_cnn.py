import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError

SMALL = {"channels": (4, 4), "kernel_sizes": (3, 5), "hidden": (6, 5), "image_shape": (1, 9, 9)}


def test_lengths_are_a_distribution_over_classes():
    out = create_model("baseline-cnn", **SMALL).eval()(torch.rand(3, 1, 9, 9))
    torch.testing.assert_close(out.lengths.sum(dim=1), torch.ones(3))
    assert out.capsules.poses.shape == (3, 10, 0)
    assert out.coupling is None


@pytest.mark.parametrize(
    ("options", "words"),
    [({"decoder": True}, "no decoder"), ({"kernel_sizes": (4, 5)}, "odd"), ({"kernel_sizes": (3,)}, "one odd number")],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        create_model("baseline-cnn", **{**SMALL, **options})

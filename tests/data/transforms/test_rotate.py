import pytest
import torch

from capsnet.data.transforms import Rotate
from capsnet.data.transforms.rotate import rotate_images
from capsnet.errors import UserError


def test_each_image_turns_anticlockwise_by_its_own_angle():
    images = torch.randint(0, 256, (3, 2, 6, 6), dtype=torch.uint8)
    turned = rotate_images(images, torch.tensor([0.0, 90.0, 180.0]))
    for index in range(3):
        assert turned[index].equal(images[index].rot90(index, (1, 2)))
    assert turned.dtype == torch.uint8


def test_a_bar_leans_to_the_left_when_it_turns_anticlockwise():
    bar = torch.zeros(1, 1, 21, 21)
    bar[..., 2:11, 10] = 1
    turned = rotate_images(bar, torch.tensor([20.0]))[0, 0]
    mass = turned.sum(dim=0) @ torch.arange(21.0) / turned.sum()
    # the bar's middle is 4 above the centre; sin 20° = 0.342
    assert abs(float(mass) - (10 - 4 * 0.342)) < 0.05


def test_normal_angles_have_a_third_of_the_largest_as_deviation_and_stay_below_it():
    # Efficient-CapsNet's authors: N(0, 0.33) clipped at 0.9999, times 30 degrees, of half of the images
    angles = Rotate(30, chance=0.5, distribution="normal").draw(20_000, torch.Generator().manual_seed(0), (1, 28, 28))
    turned = angles[angles != 0]
    assert abs(len(turned) - 10_000) < 300
    assert abs(turned.mean()) < 0.4
    assert turned.std() == pytest.approx(0.33 * 30, rel=0.02)
    assert turned.abs().max() == pytest.approx(0.9999 * 30)


def test_images_that_are_not_square_are_not_turned():
    with pytest.raises(UserError, match="Rotate is for square images, got 12x20"):
        Rotate(15).draw(1, torch.Generator(), (1, 12, 20))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"degrees": 361}, "degrees must be at most 360"),
        ({"degrees": 15, "chance": 1.5}, "chance must be at most 1"),
        ({"degrees": 15, "distribution": "gauss"}, "distribution must be one of uniform, normal, got 'gauss'"),
    ],
)
def test_rotation_out_of_range_is_refused(values, words):
    with pytest.raises(UserError, match=words):
        Rotate(**values)

import torch
from tests.official import pixels

from capsnet.data.transforms import Place
from capsnet.data.transforms.place import draw_places, nudge_images, place_images


def test_digits_go_to_the_edges_and_no_further():
    images = torch.zeros(3, 1, 8, 9, dtype=torch.uint8)
    images[:2, 0, 3:5, 2:6] = torch.from_numpy(pixels(2, 4)) + 1
    moved = place_images(images, torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.5]]))
    assert moved[0, 0, :2, :4].equal(images[0, 0, 3:5, 2:6])
    assert moved[1, 0, 6:, 5:].equal(images[1, 0, 3:5, 2:6])
    assert moved[2].equal(images[2])


def test_all_places_are_reached_alike():
    images = torch.zeros(3000, 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 1:3, 2] = 9
    moved = place_images(images, draw_places(3000, torch.Generator().manual_seed(0)))
    rows, columns = moved[:, 0, :-1].amax(dim=2).argmax(dim=1), moved[:, 0].amax(dim=1).argmax(dim=1)
    counts = torch.bincount(rows * 4 + columns, minlength=12)
    assert counts.min() > 200
    assert moved.sum() == images.sum()


def test_a_share_of_the_room_moves_as_in_the_code_of_the_authors():
    # 3 rows above, 3 below, 2 columns left, 3 right; floor(-0.5 * 3) = -2, floor(0.5 * (3 + 1)) = 2
    images = torch.zeros(4, 1, 8, 9, dtype=torch.uint8)
    images[:, 0, 3:5, 2:6] = 9
    moved = nudge_images(images, torch.tensor([[-0.5, 0.5], [0.9999, -0.9999], [-0.01, 0.01], [0.0, 0.0]]))
    corners = [(image[0].amax(1).argmax().item(), image[0].amax(0).argmax().item()) for image in moved]
    assert corners == [(1, 4), (6, 0), (2, 2), (3, 2)]
    assert (moved.sum((1, 2, 3)) == 8 * 9).all()


def test_normal_places_stay_near_and_in_the_frame():
    images = torch.zeros(4000, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 4:24, 4:24] = 9
    place = Place("normal")
    moved = place.apply(images, place.draw(4000, torch.Generator().manual_seed(0), (1, 28, 28)))
    top = moved[:, 0].amax(dim=2).int().argmax(dim=1)
    assert (moved.sum((1, 2, 3)) == 400 * 9).all()
    counts = torch.bincount(top, minlength=9)
    assert (top.min(), top.max()) == (0, 8)
    # of a share a of 4 rows, P(floor(-4 a) = -4) = P(|N| > 0.75 / 0.33) = 0.023, of half of the images
    assert abs(counts[0] / 4000 - 0.0115) < 0.006


def test_black_images_stay_black():
    black = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    for place in (Place(), Place("normal")):
        draws = place.draw(2, torch.Generator().manual_seed(0), (1, 4, 4))
        assert place.apply(black, draws).equal(black)

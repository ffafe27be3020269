from capsnet.data import load_data


def test_embedded_digits_are_split_the_same_way_each_time():
    first, second = load_data("digits"), load_data("digits")
    assert len(first.train) + len(first.test) == 1797
    assert len(first.test) == 359
    assert first.test.images.equal(second.test.images)
    assert min(first.test.counts()) >= 35


def test_digits_stand_in_mnists_frame():
    images = load_data("digits").train.images
    assert images.shape[1:] == (1, 28, 28)
    assert images[..., :4, :].max() == 0
    assert images[..., 24:].max() == 0
    assert images.max() == 255


def test_no_test_image_is_a_training_image():
    dataset = load_data("digits")
    train = {image.numpy().tobytes() for image in dataset.train.images}
    assert not [image for image in dataset.test.images if image.numpy().tobytes() in train]

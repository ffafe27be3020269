from capsnet.analysis.robustness import measure_robustness, say_robustness


def test_curves_start_from_the_clean_accuracy(make_subject):
    model, data = make_subject()
    found = measure_robustness(model, data, rotation=(0.0, 30.0), shift=(0.0, 2.0), scale=(0.8, 1.0), noise=(0.0, 0.2))
    right = int((model(data.images.float() / 255).lengths.argmax(dim=1) == data.labels).sum())
    assert found["clean"]["count"] == right
    assert [curve["name"] for curve in found["curves"]] == ["rotation", "shift", "scale", "noise"]
    for curve in found["curves"]:
        assert curve["accuracy"][curve["values"].index(curve["neutral"])] == found["clean"]
    assert "rotated by" in say_robustness(found)


def test_shifts_grow_with_the_image_and_missing_curves_are_left_out(make_subject):
    model, data = make_subject(shape=(3, 56, 60))
    (curve,) = measure_robustness(model, data, shift=(0.0, 3.0))["curves"]
    assert curve["values"] == [0, 6]


def test_shifts_of_images_that_are_little_larger_are_scaled_too(make_subject):
    (curve,) = measure_robustness(*make_subject(shape=(1, 40, 40)), shift=(0.0, 1.0, 3.0))["curves"]
    assert curve["values"] == [0, 1, 4]

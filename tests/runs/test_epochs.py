import pytest

from capsnet.runs.epochs import HEAD, find_best, read_epochs, table


def row(step, epoch, loss, accuracy, images, seconds, validation=None):
    values = {"step": float(step), "epoch": epoch, "margin_loss": loss, "accuracy": accuracy, "seconds": seconds}
    values["images_per_second"] = images / seconds
    return values if validation is None else {**values, "validation_loss": validation, "validation_accuracy": 0.75}


ROWS = [
    row(3, 0.6, 1.0, 0.0, 30, 1.0),
    row(5, 1.0, 2.0, 0.5, 40, 2.0, validation=0.25),
    row(8, 1.6, 0.5, 1.0, 70, 3.0),
    row(10, 2.0, 0.1, 1.0, 80, 3700.0, validation=0.5),
]


def test_rows_of_an_epoch_weigh_as_many_images_as_they_stand_for():
    first, second = read_epochs(ROWS)
    assert first.loss == pytest.approx((30 * 1.0 + 10 * 2.0) / 40)
    assert first.accuracy == pytest.approx(10 * 0.5 / 40)
    assert second.loss == pytest.approx((30 * 0.5 + 10 * 0.1) / 40)
    assert (first.number, second.number, second.step, second.validation_loss) == (1, 2, 10, 0.5)


def test_a_part_of_an_epoch_is_one_of_its_own_and_has_no_validation():
    epochs = read_epochs(ROWS[:3])
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert epochs[1].validation_loss is None


def test_the_kept_epoch_is_that_of_the_best_step_or_of_the_best_validation():
    epochs = read_epochs(ROWS)
    assert find_best(epochs, 10) is epochs[1]
    assert find_best(epochs, None) is epochs[0]
    assert find_best(read_epochs([row(5, 1.0, 2.0, 0.5, 40, 2.0)]), 5) is None


def test_a_table_is_aligned_and_fits_a_terminal():
    lines = table(read_epochs(ROWS), 10)
    assert lines[:2] == list(HEAD)
    assert lines[3] == "      2/2    0.4000   100.00 %     0.5000    75.00 %    1:01:40  kept"
    assert max(map(len, lines)) <= 80
    assert lines[2].index("%") == lines[3].index("%")

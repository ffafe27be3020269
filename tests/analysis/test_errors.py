import pytest
import torch

from capsnet.analysis.errors import find_errors, measure_errors, say_errors

LENGTHS = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1], [0.4, 0.5, 0.1], [0.2, 0.3, 0.35]])
LABELS = torch.tensor([0, 1, 0, 2])


def test_mistakes_come_surest_first_and_close_calls_closest_first():
    found = find_errors(LENGTHS, LABELS)
    assert [item["index"] for item in found["mistakes"]] == [1, 2]
    assert found["mistakes"][0] == {
        "index": 1,
        "label": 1,
        "predicted": 0,
        "other": 0,
        "length": 0.3,
        "other_length": 0.8,
    }
    assert [(item["index"], item["predicted"], item["other"]) for item in found["doubtful"]] == [(3, 2, 1), (0, 0, 2)]
    assert [item["other_length"] for item in found["doubtful"]] == [0.3, 0.2]


def test_true_class_that_ties_with_the_predicted_one_is_second():
    found = find_errors(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([1]))
    assert (found["wrong"]["count"], found["second"]["count"]) == (1, 1)


def test_numbers_by_hand():
    found = find_errors(LENGTHS, LABELS)
    assert (found["wrong"]["count"], found["wrong"]["n"]) == (2, 4)
    assert found["second"]["count"] == 2
    # winners: right 0.9 and 0.35, wrong 0.8 and 0.5; 0.9 beats both, 0.35 none
    assert found["surer_when_right"] == 0.5
    assert found["wrong_longest"] == pytest.approx(0.65)
    assert "2 of 4 images are misclassified" in say_errors(found)


@pytest.mark.parametrize(("labels", "wrong"), [([0, 0, 1, 2], 0), ([1, 1, 0, 0], 4)])
def test_all_right_and_all_wrong_are_said(labels, wrong):
    found = find_errors(LENGTHS, torch.tensor(labels))
    assert found["wrong"]["count"] == wrong
    assert found["surer_when_right"] is None
    assert f"{wrong} of 4" in say_errors(found)


def test_a_model_of_one_class_is_never_wrong(make_subject):
    found = measure_errors(*make_subject(classes=1))
    assert (found["wrong"]["count"], found["doubtful"]) == (0, [])


def test_mistakes_name_their_files_where_images_are_files():
    found = find_errors(LENGTHS, LABELS, files=["a/0.png", "b/1.png", "a/2.png", "c/3.png"])
    assert [item["file"] for item in found["mistakes"]] == ["b/1.png", "a/2.png"]
    assert [item["file"] for item in found["doubtful"]] == ["c/3.png", "a/0.png"]

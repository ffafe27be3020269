from dataclasses import replace

import pytest

from capsnet.analysis.masking import Evidence, check_gradients

CE = "cross-entropy"
SOUND = Evidence(
    n=100,
    chance=0.1,
    epsilons=(0.1, 0.5),
    epsilon_index=0,
    accuracy={
        ("fgsm", "margin"): [0.6, 0.2],
        ("fgsm", CE): [0.6, 0.1],
        ("pgd", "margin"): [0.45, 0.0],
        ("pgd", CE): [0.4, 0.0],
        ("random", ""): [0.95, 0.7],
    },
    zero={"margin": 0.3, CE: 0.0},
    rise=(1.0, 1.4, 1.1),
    walked={1: 0.7, 5: 0.5, 20: 0.5},
    searched=0.8,
    queries=50,
)


def failed(seen):
    return [check["name"] for check in check_gradients(seen) if not check["passed"]]


def changed(attack, loss, values):
    return replace(SOUND, accuracy={**SOUND.accuracy, (attack, loss): values})


def test_sound_gradients_pass_every_check():
    assert len(check_gradients(SOUND)) == 8
    assert failed(SOUND) == []


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (replace(SOUND, zero={"margin": 0.0, CE: 0.01}), "the cross-entropy has a gradient at every image"),
        (replace(SOUND, rise=(1.0, 1.1, 1.2)), "the loss rises more along the gradient than in random directions"),
        (replace(SOUND, walked={1: 0.5, 5: 0.4, 20: 0.45}), "more steps never help the defender"),
        (changed("fgsm", CE, [0.3, 0.1]), "many steps do at least as much as one"),
        (changed("random", "", [0.3, 0.2]), "random signs do less than the attack"),
        (changed("pgd", "margin", [0.6, 0.0]), "the margin loss attacks as well as the cross-entropy"),
        (changed("pgd", CE, [0.4, 0.3]), "a large change reaches chance"),
        (replace(SOUND, searched=0.2), "a search without gradients does not find more"),
    ],
)
def test_each_sign_of_masking_fails_its_own_check(seen, name):
    assert failed(seen) == [name]


def test_a_single_image_is_no_sign():
    assert failed(replace(SOUND, walked={1: 0.5, 5: 0.51})) == []
    assert failed(replace(SOUND, walked={1: 0.5, 5: 0.52})) == ["more steps never help the defender"]


def test_checks_that_need_other_attacks_are_left_out():
    few = {key: values for key, values in SOUND.accuracy.items() if key[0] != "pgd"}
    assert len(check_gradients(replace(SOUND, accuracy=few))) == 3
    assert len(check_gradients(replace(SOUND, searched=None, epsilons=(0.1, 0.3)))) == 6

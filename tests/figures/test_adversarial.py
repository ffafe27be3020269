import pytest

from capsnet.figures.adversarial import Attack, choose_attack, draw_adversarial


def test_adversarial_names_what_fails(photos_seen, quick_results, texts):
    model, data = photos_seen
    found = quick_results("adversarial", model, data)
    for number, check in enumerate(found["checks"]):
        check["passed"] = number > 0
    shown = texts(draw_adversarial(found, model, data, Attack("fgsm", 10)))
    assert (shown.count("✗"), shown.count("✓")) == (1, len(found["checks"]) - 1)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("attacks", "words"), [(["fgsm", "random"], "FGSM"), (["fgsm", "bim"], "BIM with 7 steps")])
def test_the_attack_that_is_shown_is_one_that_was_run(attacks, words):
    assert choose_attack({"curves": [{"attack": name} for name in attacks]}, steps=7).words == words


def test_curves_of_one_attack_by_two_losses_look_different(photos_seen, quick_results):
    model, data = photos_seen
    figure = draw_adversarial(quick_results("adversarial", model, data), model, data, Attack("fgsm", 10))
    looks = [(line.get_linestyle(), line.get_markerfacecolor()) for line in figure.axes[0].lines[:2]]
    assert looks == [("--", "#FFFFFF"), ("-", "#56B4E9")]

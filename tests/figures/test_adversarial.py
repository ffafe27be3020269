from capsnet.figures.adversarial import draw_adversarial


def test_adversarial_names_what_fails(photos_seen, quick_results, texts):
    model, data = photos_seen
    found = quick_results("adversarial", model, data)
    found["checks"][0]["passed"] = False
    figure = draw_adversarial(found, model, data)
    assert "✗" in texts(figure)
    assert texts(figure).count("✓") <= len(found["checks"]) - 1
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())

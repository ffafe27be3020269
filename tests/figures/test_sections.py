from capsnet.figures.sections import mistakes_section


def test_files_classified_incorrectly_are_listed_surest_first():
    rows = [
        {"file": "a/1.png", "label": 0, "prediction": 1, "lengths": [0.2, 0.6]},
        {"file": "b/<2>.png", "label": 1, "prediction": 0, "lengths": [0.9, 0.1]},
    ]
    text = mistakes_section(rows, ("a", "b"))
    assert text.index("b/&lt;2&gt;.png") < text.index("a/1.png")
    assert "0.90" in text
    assert "--csv" not in text
    assert "70 more files" in mistakes_section(rows * 60, ("a", "b"))


def test_no_mistakes_give_no_section():
    assert mistakes_section([], ("a", "b")) == ""

import math

from capsnet.runs.rows import Rows

ROWS = Rows([{"step": 1.0, "loss": 0.25}, {"step": 20.0, "loss": 0.125, "validation_accuracy": 0.5}])


def test_rows_are_a_list_with_columns():
    assert ROWS == [{"step": 1.0, "loss": 0.25}, {"step": 20.0, "loss": 0.125, "validation_accuracy": 0.5}]
    assert ROWS.columns == ["step", "loss", "validation_accuracy"]
    missing, last = ROWS.column("validation_accuracy")
    assert math.isnan(missing)
    assert last == 0.5


def test_rows_print_as_an_aligned_table():
    assert repr(ROWS).splitlines() == [
        "step   loss  validation_accuracy",
        "   1   0.25                     ",
        "  20  0.125                  0.5",
    ]


def test_notebook_shows_a_table_without_the_middle_of_a_long_one():
    page = Rows({"step": float(k)} for k in range(1000))._repr_html_()
    assert "<th>step</th>" in page
    assert "<td>999</td>" in page
    assert "<td>500</td>" not in page
    assert page.count("<tr>") == 1 + 6 + 1 + 18


def test_no_rows_are_no_fault():
    assert repr(Rows()) == ""
    assert "<table>" in Rows()._repr_html_()

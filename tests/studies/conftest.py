"""A study of two rows that ends in seconds."""

import pytest

from capsnet.studies import STUDIES, Budget, Comparison, Reported, Row, Study

SHRUNK = {
    "data": "digits",
    "model": "capsnet-tiny",
    "epochs": 2,
    "limit": 96,
    "batch_size": 32,
    "validation": 0.1,
    "lr": 3e-3,
}


def make_study():
    return Study(
        summary="two rows",
        source="a test",
        rows=(
            Row("r1", "one iteration", "sabour2017-mnist", {"iterations": 1}, Reported(0.29, 0.011, 3)),
            Row("plain", "no reconstruction", "sabour2017-mnist", {"recon_weight": 0.0}),
        ),
        comparisons=(Comparison("plain", "r1"),),
        budgets={"quick": Budget("two epochs of 96 digits", 2, SHRUNK), "full": Budget("more", 3)},
    )


@pytest.fixture
def study(monkeypatch):
    """Its name."""
    monkeypatch.setitem(STUDIES._values, "two-rows", make_study())
    return "two-rows"


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """A finished study's folder and table."""
    from capsnet.studies import reproduce

    folder = tmp_path_factory.mktemp("studies") / "done"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIES._values, "two-rows", make_study())
        return folder, reproduce("two-rows", out=folder)

"""Names of things: one verb, own modules, and entry points of other packages."""

import sys
import types

import pytest

from capsnet.errors import UserError
from capsnet.registry import Registry, import_modules


@pytest.fixture
def shapes():
    registry = Registry[object]("shape", "capsnet.shapes")
    registry.add("square", 4)
    return registry


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """Other packages with entry points `name=module:object`, in modules of these texts."""

    def offer(points, **modules):
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / "third-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: third\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(["[capsnet.shapes]", *points]))
        monkeypatch.syspath_prepend(tmp_path)
        # monkeypatch restores what the modules leave
        for module in modules:
            monkeypatch.delitem(sys.modules, module, raising=False)

    return offer


def test_value_is_found_by_the_name_it_was_added_with(shapes):
    assert shapes.add("triangle", 3) == 3
    assert (shapes.get("triangle"), shapes.names("t*"), "triangle" in shapes) == (3, ["triangle"], True)


def test_decorator_adds_what_it_stands_above(shapes):
    @shapes.add("round")
    class Round:
        pass

    assert shapes.get("round") is Round


def test_unknown_name_is_refused_with_the_nearest(shapes):
    with pytest.raises(UserError, match="unknown shape 'sqare'; did you mean 'square'"):
        shapes.get("sqare")


def test_name_is_registered_once(shapes):
    with pytest.raises(AssertionError, match="'square' is registered twice"):
        shapes.add("square", 5)


def test_other_package_is_loaded_when_its_name_is_asked_for(shapes, offered):
    offered(["pentagon = third_five:SIDES"], third_five="SIDES = 5")
    assert shapes.get("square") == 4
    assert "third_five" not in sys.modules
    assert shapes.get("pentagon") == 5


def test_other_package_is_listed(shapes, offered):
    offered(["hexagon = third_six:SIDES"], third_six="SIDES = 6")
    assert shapes.names() == ["hexagon", "square"]


def test_broken_package_is_named_and_the_rest_works(shapes, offered):
    offered(
        ["circle = third_broken:SIDES", "octagon = third_eight:SIDES"], third_broken="1 / 0", third_eight="SIDES = 8"
    )
    with pytest.warns(UserWarning, match=r"shape 'circle' of the package third cannot be loaded: ZeroDivisionError"):
        assert shapes.names() == ["octagon", "square"]
    with pytest.raises(UserError, match=r"unknown shape 'circle'.*package third cannot be loaded"):
        shapes.get("circle")


def test_other_package_cannot_take_a_name_of_ours(shapes, offered):
    offered(["square = third_square:SIDES"], third_square="SIDES = 44")
    with pytest.warns(UserWarning, match="the name 'square' is taken"):
        assert shapes.names() == ["square"]
    assert shapes.get("square") == 4


def test_modules_of_a_package_are_imported_in_order_without_private_ones(monkeypatch, tmp_path, capsys):
    (tmp_path / "third_room").mkdir()
    for module in ("__init__", "b", "a", "_private", "left"):
        (tmp_path / "third_room" / f"{module}.py").write_text("print(__name__)")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("third_room")
    import_modules("third_room", leave=("left",))
    assert capsys.readouterr().out.split() == ["third_room", "third_room.a", "third_room.b"]


@pytest.mark.parametrize("kind", ["routings", "models", "data", "recipes", "studies", "figures", "analyses", "benches"])
def test_every_kind_can_come_from_another_package(kind):
    from capsnet import analysis, bench, data, figures, models, recipes, routing, studies

    registries = (
        routing.ROUTINGS,
        models.MODELS,
        data.DATASETS,
        recipes.RECIPES,
        studies.STUDIES,
        figures.FIGURES,
        analysis.ANALYSES,
        bench.BENCHES,
    )
    assert f"capsnet.{kind}" in {registry.group for registry in registries}


def test_name_with_underscores_is_found_with_a_warning():
    shapes = Registry("shape", underscores=True)
    shapes.add("right-angled", 3)
    with pytest.warns(FutureWarning, match="the shape 'right_angled' is now called 'right-angled'"):
        assert shapes.get("right_angled") == 3
    assert shapes.resolve("right_angled", warn=False) == "right-angled"
    assert "right_angled" in shapes


def test_name_with_underscores_is_another_name_where_there_never_were_any(shapes):
    shapes.add("right-angled", 3)
    assert "right_angled" not in shapes


def test_module_that_fills_a_registry_is_imported_when_a_name_is_unknown(tmp_path, monkeypatch):
    (tmp_path / "shapes_of_test.py").write_text("import test_registry\ntest_registry.LATE.add('square', 4)\n")
    monkeypatch.syspath_prepend(tmp_path)
    late = Registry[int]("shape", module="shapes_of_test")
    monkeypatch.setitem(sys.modules, "test_registry", types.SimpleNamespace(LATE=late))
    assert "shapes_of_test" not in sys.modules
    assert late.get("square") == 4
    assert late.names() == ["square"]

"""What the documentation site is made of."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from capsnet.recipes import RECIPES

ROOT = Path(__file__).parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "capsnet"


@pytest.fixture
def website(monkeypatch):
    """Import a module of docs/website."""
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.syspath_prepend(str(DOCS / "website"))
    return importlib.import_module


def docstrings() -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    return [ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds)]


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def test_every_formula_of_pages_and_docstrings_becomes_mathml(website):
    pytest.importorskip("markdown")
    pytest.importorskip("latex2mathml")
    mathml = website("mathml")
    texts = [page.read_text() for page in DOCS.rglob("*.md")] + docstrings()
    display = [one for text in texts for one in re.findall(mathml.DISPLAY, without_code(text), re.DOTALL)]
    lines = [
        one
        for text in texts
        for one in re.findall(mathml.INLINE, re.sub(mathml.DISPLAY, "", without_code(text), flags=re.DOTALL), re.DOTALL)
    ]
    assert len(display) > 10
    assert len(lines) > 40
    for formula in (*display, *lines):
        assert mathml.to_mathml(formula).startswith("<math")


def test_formula_with_an_unknown_command_is_refused(website):
    pytest.importorskip("markdown")
    pytest.importorskip("latex2mathml")
    with pytest.raises(ValueError, match="no_such"):
        website("mathml").to_mathml(r"\no_such x")


def test_long_formula_in_a_line_is_marked_for_phones(website):
    pytest.importorskip("latex2mathml")
    to_mathml = website("mathml").to_mathml
    assert 'class="long"' in to_mathml(" + ".join("abcdefghijklmnopqrstuv"))
    assert 'class="long"' not in to_mathml("a + b")
    assert 'class="long"' not in to_mathml(" + ".join("abcdefghijklmnopqrstuv"), display=True)


def test_formulas_are_told_from_shell_variables_and_code(website):
    markdown = pytest.importorskip("markdown")
    pytest.importorskip("latex2mathml")
    text = "$CAPSNET_DATA_DIR or $HOME, `$a$`, then $a_i * b * c$ and 5$ or 6$"
    html = markdown.markdown(text, extensions=[website("mathml").MathExtension()])
    assert html.count("<math") == 1
    assert "$CAPSNET_DATA_DIR or $HOME" in html
    assert "<code>$a$</code>" in html
    assert "<em>" not in html


def test_reference_shows_every_public_module(website):
    covered = set(website("api_pages").covered())
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        # commands have a page of their own; a kernel has the name and signature of the function that it replaces
        if any(part.startswith("_") and part != "__init__" for part in parts) or parts[1] == "cli" or len(parts) > 3:
            continue
        assert ".".join(parts).removesuffix(".__init__") in covered


def test_reference_names_each_thing_once(website):
    pages = website("api_pages").pages()
    named = re.findall(
        r"^::: (\S+)$", "\n".join(pages[f"api/{name}.md"] for name in website("api_pages").modules()), re.M
    )
    assert "capsnet.routing.dynamic_routing" in named
    assert "capsnet.analysis.routing.t_score" in named
    assert len(named) == len(set(named))


def test_page_of_the_package_shows_no_room_that_has_a_page(website):
    shown = re.findall(r"^::: (\S+)$", website("api_pages").pages()["api/capsnet.md"], re.M)
    assert "capsnet.train" in shown
    assert set(shown) & set(website("api_pages").modules()) == set()


def test_recipes_page_links_the_origin_of_an_option(website):
    text = website("made_parts").recipes()
    line = "https://github.com/coder3000/SR-CapsNet/blob/7622d38/config.py#L33"
    assert f"| `weight_decay` | [coder3000/SR-CapsNet@7622d38 config.py:33]({line}) |" in text
    assert "| `recon_weight` | Sabour et al. 2017, section 4.1 (cited, not read) |" in text


def test_recipes_page_has_each_recipe_once_in_a_named_part(website):
    pages = website("made_parts")
    text = pages.recipes()
    named = re.findall(r'<details class="recipe" id="([^"]+)"', text)
    assert sorted(named) == sorted(RECIPES.names())
    assert "Further recipes" not in {pages.recipe_part(name, RECIPES.get(name).config) for name in named}


@pytest.mark.parametrize("page", ["index.md", "deploy.md", "recipes.md", "speed.md", "studies/index.md"])
def test_marks_of_a_page_are_filled(page, website, monkeypatch):
    pytest.importorskip("yaml")
    text = (DOCS / page).read_text()
    # the export is tested elsewhere
    monkeypatch.setattr(website("draw_page"), "pages", dict)
    filled = website("made_parts").fill(text)
    assert "<!-- site:" in text
    assert "<!-- site:" not in filled
    assert len(filled) > len(text) + 200


def test_commands_page_has_each_verbs_help(website):
    pytest.importorskip("yaml")
    said = website("made_parts")._help("predict")
    assert "usage: capsnet predict" in said
    assert "--as-is" in said


def test_a_picture_opens_in_full_size_and_the_demo_has_a_dark_one(website):
    pictures = '<img alt="a" src="pictures/pose.png" /><img alt="b" src="../pictures/demo.png" />'
    html = f'{pictures}<img src="data:image/png,0" />'
    shown = website("hooks").on_page_content(html, page=None, config=None, files=None)
    assert re.findall(r'href="([^"]+)"', shown) == ["pictures/pose.png", "../pictures/demo.png"]
    assert re.findall(r'src="\.\./([^"]+)"', shown) == [
        "pictures/demo.png#only-light",
        "pictures/demo-dark.png#only-dark",
    ]
    assert shown.endswith('<img src="data:image/png,0" />')

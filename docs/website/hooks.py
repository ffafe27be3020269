"""What mkdocs does beside turning pages into HTML: formulas, and pages made of code, measurements and notebooks."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import api_pages  # noqa: E402
import draw_page  # noqa: E402
import made_parts  # noqa: E402
import notebook_pages  # noqa: E402
import routing_pages  # noqa: E402
from links import BORROWED, to_site  # noqa: E402
from mathml import MathExtension  # noqa: E402

CODE = re.compile(r"<td[^>]*>.*?</td>|<div class=\"language-bash highlight\">.*?</div>", re.DOTALL)
OPTION = re.compile(r"(?<=[ >])--?[a-z][\w-]*(?=[^<>]*</(?:code|span)>|[^<>]*<span)")
PICTURE = re.compile(r"<img [^>]*src=\"([^\"#:]+\.png)\"[^>]*>(?!</a>)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the formulas, and to the navigation what is there without being named: routings, studies, API pages."""
    config.markdown_extensions.append(MathExtension())  # type: ignore[arg-type]
    nav = config.nav
    _add_to_nav(nav, "routings/README.md", [*_pages("routings", "README.md"), *routing_pages.generated()])
    _add_to_nav(nav, "studies/index.md", _pages("studies", "index.md"))
    _add_to_nav(nav, "api/index.md", [{name: f"api/{name}.md"} for name in api_pages.modules()])
    return config


def _pages(folder: str, index: str) -> list[str]:
    """The pages of a folder behind its first one, in the order in which that one links them."""
    first = HERE.parent / folder / index
    order = re.findall(r"\]\(([\w-]+\.md)\)", first.read_text())
    names = sorted(path.name for path in first.parent.glob("*.md") if path != first)
    return [f"{folder}/{name}" for name in sorted(names, key=lambda name: order.index(name) if name in order else 99)]


def _add_to_nav(nav: object, behind: str, pages: Sequence[str | dict[str, str]]) -> None:
    """Put pages behind one that the navigation names."""
    for entry in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else []:
        if entry == behind:
            nav.extend(pages)
            return
        _add_to_nav(entry, behind, pages)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made: dict[str, str | bytes] = {**api_pages.pages(), **notebook_pages.pages(), **routing_pages.generated()}
    made |= draw_page.pages()
    made["project/cite.md"] = made_parts.cite()
    for page, source in BORROWED.items():
        made[page] = to_site((ROOT / source).read_text(), source, page)
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link pages of the site, and put what is made of code and measurements where a page has a mark."""
    del config, files
    path = page.file.src_uri
    written = not page.file.generated_by
    return made_parts.fill(to_site(markdown, f"docs/{path}", path) if written else markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Keep each option in a table or a command on one line; let a picture open in its full size."""
    del page, config, files
    html = CODE.sub(lambda cell: OPTION.sub(r'<span class="option">\g<0></span>', cell[0]), html)
    return PICTURE.sub(lambda image: f'<a class="picture" href="{image[1]}">{_themed(image)}</a>', html)


def _themed(image: re.Match[str]) -> str:
    """A picture; the page of the demo is drawn dark on dark pages."""
    if not image[1].endswith("/demo.png"):
        return image[0]
    dark = image[0].replace("/demo.png", "/demo-dark.png#only-dark")
    return image[0].replace("/demo.png", "/demo.png#only-light") + dark


def on_nav(nav: Navigation, *, config: MkDocsConfig, files: Files) -> Navigation:
    """Nothing may be in the navigation twice."""
    del config, files
    paths = [page.file.src_path for page in nav.pages]
    assert len(paths) == len(set(paths)), "a page is in the navigation twice"
    return nav

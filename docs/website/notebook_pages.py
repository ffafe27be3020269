"""Executed notebooks as pages: text as it is, code, what it printed, and its pictures beside the page."""

import base64
import html
import json
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
_COLUMNS = 96


def pages() -> dict[str, str | bytes]:
    """Pages and pictures of all notebooks by their paths."""
    made: dict[str, str | bytes] = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        made |= page(path)
    return made


def page(path: Path) -> dict[str, str | bytes]:
    """A notebook's page and its pictures."""
    parts: list[str] = []
    pictures: dict[str, str | bytes] = {}
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            shown = output.get("data", {})
            if "image/png" in shown:
                name = f"{path.stem}-{len(pictures) + 1}.png"
                pictures[f"notebooks/{name}"] = base64.b64decode("".join(shown["image/png"]))
                parts.append(f"![What the cell above draws]({name}){{ .drawn }}")
            elif text := "".join(output.get("text") or shown.get("text/plain") or []).strip():
                # sentences wrap; a table keeps its columns
                kind = "printed prose" if max(map(len, text.splitlines())) > _COLUMNS else "printed"
                parts.append(f'<pre class="{kind}"><code>{html.escape(text)}</code></pre>')
    title, _, rest = "\n\n".join(parts).partition("\n")
    note = (
        f"*This page is an executed notebook: `docs/notebooks/{path.name}` opens in Jupyter. Each number and picture "
        "is what the cell above it gave.*"
    )
    return {f"notebooks/{path.stem}.md": f"{title}\n\n{note}\n\n{rest}\n", **pictures}

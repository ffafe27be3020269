"""Execute the notebooks: python docs/website/run_notebooks.py [NAME...]

The sources are docs/notebooks/NAME.py, in the percent format of jupytext; what they gave is kept in NAME.ipynb.
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def execute(source: Path) -> Path:
    """Execute a notebook in a kernel of its own, and write it with its outputs."""
    notebook = jupytext.read(source)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for number, cell in enumerate(notebook.cells):
        # the same source gives the same file
        cell["id"] = f"cell-{number}"
        cell.metadata = {}
        if cell.cell_type == "code":
            # progress is for the one who waits
            cell.outputs = [output for output in cell.outputs if _is_kept(output)]
    notebook.metadata.pop("jupytext", None)
    target = source.with_suffix(".ipynb")
    nbformat.write(notebook, target)
    return target


def _is_kept(output: dict) -> bool:
    if output["output_type"] == "display_data":
        return "image/png" in output["data"]
    return output.get("name") != "stderr"


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.py")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            print(execute(path))

"""Write what is made of measurements: the tables of README.md, pages of studies and routings, pictures of the last run.

No number is typed by hand. Weights and figures of a run are not kept in the repository, so pictures change only where
`capsnet report docs/runs/NAME` was run before.
"""

import json
import shutil
from pathlib import Path

import backbones
import communication
import few_samples
import large_data
import recommenders
import records
import reliability
import results
import routing_pages
import routing_pictures
import segmentation
import sequences
import speed
from study_pages import write_pages

from capsnet.studies.sweep_table import sweep_to_markdown

ROOT = Path(__file__).parents[1]
SWEEP = "<!-- sweep: made by docs/fill.py -->", "<!-- end of sweep -->"
PICTURES = ("curves", "reconstructions", "manipulate-5", "confusion", "coupling", "structure")


def sweep_table() -> str:
    """`table.md` of the sweep on the page of sweeps, without its title."""
    table = json.loads((ROOT / "docs" / "sweep-table.json").read_text())
    return sweep_to_markdown(table).partition("\n\n")[2].rstrip()


def main() -> None:
    """Fill the tables, and copy the pictures."""
    readme = ROOT / "README.md"
    text = results.put(readme.read_text(), results.RESULTS, results.results())
    text = results.put(text, results.TABLES, results.studies("docs/studies/"))
    text = speed.fill(text)
    # links that also work where the README is shown without the repository, on PyPI
    text = results.publish_links(text, ROOT / "pyproject.toml")
    readme.write_text(text)
    folders = sorted(path.parent for path in (ROOT / "docs" / "runs").glob("*/evaluation.json"))
    for name in PICTURES:
        if (picture := folders[-1] / "figures" / f"{name}.png").is_file():
            shutil.copyfile(picture, ROOT / "docs" / "pictures" / picture.name)
    print(json.dumps([folder.name for folder in folders]))
    print(json.dumps([page.name for page in (*write_pages(), records.write_page())]))
    page = ROOT / "docs" / "distributed.md"
    page.write_text(results.put(page.read_text(), communication.MARKS, communication.table()))
    reliability.PAGE.write_text(reliability.fill(reliability.PAGE.read_text()))
    large_data.PAGE.write_text(large_data.fill(large_data.PAGE.read_text()))
    page = ROOT / "docs" / "sweep.md"
    page.write_text(results.put(page.read_text(), SWEEP, sweep_table()))
    record = json.loads(few_samples.RECORD.read_text())
    few_samples.PAGE.write_text(results.put(few_samples.PAGE.read_text(), few_samples.MARKS, few_samples.table(record)))
    page = ROOT / "docs" / "segmentation.md"
    text = results.put(page.read_text(), segmentation.MARKS, segmentation.table())
    page.write_text(results.put(text, segmentation.MEMORY, segmentation.memory()))
    page = ROOT / "docs" / "backbones.md"
    page.write_text(backbones.fill(page.read_text()))
    page = ROOT / "docs" / "recommenders.md"
    page.write_text(results.put(page.read_text(), recommenders.MARKS, recommenders.table()))
    page = ROOT / "docs" / "sequences.md"
    page.write_text(results.put(page.read_text(), sequences.MARKS, sequences.table()))
    routing_pictures.main()
    print(json.dumps([page.name for page in routing_pages.write_pages()]))


if __name__ == "__main__":
    main()

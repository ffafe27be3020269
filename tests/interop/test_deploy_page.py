"""The Python code of docs/deploy.md runs on exported files."""

import re
import shutil
from pathlib import Path

from PIL import Image, ImageDraw

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


def test_the_code_of_the_page_runs(exports, tmp_path, monkeypatch, capsys):
    shutil.copy(exports / "digits/model.onnx", tmp_path / "digits.onnx")
    shutil.copy(exports / "digits.pt2", tmp_path)
    image = Image.new("L", (120, 110), 255)
    ImageDraw.Draw(image).line([(35, 20), (75, 20), (50, 90)], fill=0, width=9)
    image.save(tmp_path / "seven.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert capsys.readouterr().out.startswith("7 0.9")
    assert names["signals"].shape == (1, 4)

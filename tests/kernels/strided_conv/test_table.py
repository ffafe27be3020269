import json

import pytest
import torch

from capsnet.kernels.strided_conv import table


def test_every_row_names_instructions_type_threads_and_images():
    rows = json.loads(table.TABLE.read_text())["rows"]
    assert all(set(row) == {"instructions", "type", "threads", "compiled", "images"} for row in rows)
    assert len({(row["instructions"], row["type"], row["compiled"]) for row in rows}) == len(rows)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    found = [
        ("AVX2", "float32", 2, False, 12),
        ("AVX2", "bfloat16", 2, False, None),
        ("AVX2", "float32", 2, True, 4),
    ]
    names = ("instructions", "type", "threads", "compiled", "images")
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"rows": [dict(zip(names, row, strict=True)) for row in found]}))
    monkeypatch.setattr(table, "TABLE", path)
    table._least_images.cache_clear()
    yield
    table._least_images.cache_clear()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("instructions", "type_name", "images"),
    [
        ("AVX2", "float32", 12),
        ("AVX2", "float64", 12),
        ("AVX2", "bfloat16", None),
        ("NEON", "float32", 12),
    ],
)
def test_a_processor_or_type_that_was_not_measured_takes_the_row_of_another(instructions, type_name, images):
    assert table._least_images(instructions, type_name, False) == images


@pytest.mark.usefixtures("rows")
def test_the_kernel_in_c_has_rows_of_its_own():
    assert table._least_images("AVX512", "float32", True) == 4


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("type_name", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("instructions", ["DEFAULT", "NEON", "AVX2", "AVX512", "AVX512+bf16"])
def test_every_processor_and_type_has_a_row(instructions, type_name, compiled):
    least = table._least_images(instructions, type_name, compiled)
    assert least is None or least > 0


def test_instructions_are_those_of_torch():
    assert table.instructions().split("+")[0] == torch.backends.cpu.get_cpu_capability()

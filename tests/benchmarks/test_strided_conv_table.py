"""The script that measures the convolutions."""

from capsnet import kernels


def test_both_convolutions_are_timed(load, monkeypatch):
    script = load("benchmarks/strided_conv_table.py")
    monkeypatch.setattr(script, "ROUNDS", 1)
    # nothing is compiled
    with kernels.use("torch"):
        plain, fast = script.times(1, half=False)
    assert plain > 0
    assert fast > 0

"""Where autocast is left, and where there is none to leave."""

import torch

from capsnet.functional.precision import in_autocast, leave_autocast, without_autocast


def test_products_inside_have_the_type_of_their_factors():
    x = torch.rand(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        for context in (without_autocast(x.device), leave_autocast(x.device)):
            with context:
                assert not in_autocast(x.device)
                assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_tensors_without_memory_have_no_autocast():
    with torch.autocast("cpu", torch.bfloat16), without_autocast(torch.device("meta")):
        assert not in_autocast(torch.device("meta"))

import pickle

import pytest

from capsnet.errors import UserError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a.npz holds x\ny", r"a.npz holds x\ny"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("left\u202eright", r"left\u202eright"),
        ("größer 数字 \udcff", "größer 数字 \udcff"),
    ],
)
def test_message_is_one_printable_line(given, shown):
    assert str(UserError(given)) == shown


def test_error_reaches_another_process_whole():
    assert str(pickle.loads(pickle.dumps(UserError("a\nb")))) == r"a\nb"

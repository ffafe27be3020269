import doctest

from capsnet.data.transforms import transform


def test_the_transform_in_the_docstring_works():
    result = doctest.testmod(transform)
    assert result.attempted > 0
    assert result.failed == 0

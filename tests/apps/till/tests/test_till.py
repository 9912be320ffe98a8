from importlib.metadata import version

import till


def test_receipt():
    assert till.receipt([1999, 5]) == "19.99\n0.05\ntotal 20.04"


def test_the_library_is_the_released_one():
    assert version("money") == "1.0.0"

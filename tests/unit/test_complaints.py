"""tests.complaints: every complaint is a line of the failure."""

import pytest

from tests.complaints import expect_none


def test_each_complaint_is_a_line_with_its_file():
    with pytest.raises(pytest.fail.Exception) as failed:
        expect_none(iter(["a is missing", "b is too long"]), "07.ipynb")
    assert str(failed.value) == "07.ipynb: a is missing\n07.ipynb: b is too long"
    assert failed.value.pytrace is False


def test_no_complaint_passes():
    expect_none(iter([]), "07.ipynb")

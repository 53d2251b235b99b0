"""Parts of messages: the text of an error of a library, and a long list."""

import pytest

from crossask.errors import CrossaskError, first_line, shortened_list
from crossask.features import records


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("The model is damaged.\nTraceback of C++"), "The model is damaged."),
        (ValueError("\n  Indented.  \nMore"), "Indented."),
        (RuntimeError(), "RuntimeError"),
        (OSError(" \n "), "OSError"),
    ],
)
def test_the_first_line_of_an_error_is_its_message_or_its_type(error, text):
    assert first_line(error) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("", "")],
)
def test_a_long_list_ends_with_the_number_of_further_names(names, text):
    assert shortened_list(list(names), most=3) == text


def test_a_file_that_cannot_be_written_is_named_also_if_the_system_gives_no_reason():
    with (
        pytest.raises(CrossaskError, match=r"a\.tfrecord cannot be written \(OSError\)"),
        records.write_errors_of("a.tfrecord"),
    ):
        raise OSError

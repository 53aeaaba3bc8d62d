"""What errors of file systems say, on one line."""

from mlvitals.exporters.paths import first_line

STATUS = (
    "When reading information for key 'a' in bucket 'log': google::cloud::Status(UNAVAILABLE: Retry policy exhausted in "
    "GetObjectMetadata, with a last message of Could not resolve host error_info={reason=, domain=})"
)


def test_an_error_of_googles_client_is_told_by_its_kind_and_its_cause():
    assert first_line(OSError(STATUS)) == "UNAVAILABLE: Could not resolve host"
    assert first_line(OSError("google::cloud::Status(NOT_FOUND: no bucket)")) == "NOT_FOUND: no bucket"


def test_only_the_first_line_is_told_and_the_name_of_an_error_that_says_nothing():
    assert first_line(OSError("it broke\nhere")) == "it broke"
    assert first_line(OSError()) == "OSError"


def test_a_line_of_a_million_characters_is_looked_through_once():
    line = "Status(" * 150_000
    assert first_line(OSError(line)) == line

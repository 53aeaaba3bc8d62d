"""Writing YAML: deterministic, unfolded, and read back as it was."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.text_files import yaml_file


@given(st.dictionaries(st.text(min_size=1), st.text() | st.lists(st.text())))
def test_what_is_written_is_read_back(document):
    assert yaml.safe_load(yaml_file(document, "comment")) == document


def test_keys_keep_their_order():
    assert yaml_file({"b": "1", "a": "2"}) == 'b: "1"\na: "2"\n'


def test_text_of_several_lines_becomes_a_literal_block():
    assert yaml_file({"expr": "a\n> 1"}) == "expr: |-\n  a\n  > 1\n"


def test_long_text_is_never_folded():
    assert yaml_file({"expr": "word " * 100 + "end"}).count("\n") == 1


def test_equal_values_are_written_out_instead_of_referred_to():
    shared = ["x"]
    assert yaml_file({"a": shared, "b": shared}) == "a:\n  - x\nb:\n  - x\n"


@pytest.mark.parametrize("text", ["true", "0.25", "null", "a: b", "# no comment", "", " padded "])
def test_text_that_looks_like_something_else_is_quoted(text):
    assert '"' in yaml_file({"key": text})

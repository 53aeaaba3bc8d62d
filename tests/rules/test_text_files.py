"""Writing YAML: deterministic, unfolded, and read back as it was."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.text_files import yaml_file

# Letters that mean something to YAML come often, and so do words that are no text without quotes.
_TEXT = st.text() | st.text(" \n\ta:#-\"'\\|>{}[],&*!%@`?\r\x85\u2028\ufeff\U0001f600")
_WORDS = st.sampled_from(
    ["yes", "null", "~", "1e3", "0x1f", "12:30", "2026-03-03", "=", "<<", "---", "...", "- a", "? a"]
)
_KEYS = _TEXT | _WORDS | st.integers(120, 140).map("k".__mul__)
_SCALARS = _TEXT | _WORDS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=4
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_what_is_written_is_read_back(document):
    text = yaml_file(document, "comment")
    assert yaml.load(text, yaml.CSafeLoader) == document
    assert yaml.safe_load(text) == document


def test_what_is_no_plain_data_is_refused():
    with pytest.raises(TypeError, match="plain data"):
        yaml_file({"file": Path("a")})


def test_keys_keep_their_order():
    assert yaml_file({"b": "1", "a": "2"}) == 'b: "1"\na: "2"\n'


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("a\n> 1", "|-\n  a\n  > 1\n"),
        ("a\n\nb\n", "|\n  a\n\n  b\n"),
        ("a\n\n", "|+\n  a\n\n"),
        ("  a\nb", "|2-\n    a\n  b\n"),
    ],
)
def test_text_of_several_lines_becomes_a_literal_block(text, block):
    assert yaml_file({"expr": text}) == f"expr: {block}"


def test_items_stand_under_their_key_and_entries_next_to_their_dash():
    written = yaml_file({"a": [{"b": 1, "c": [["x"], {}]}, []], "d": {}})
    assert written == "a:\n  - b: 1\n    c:\n      - - x\n      - {}\n  - []\nd: {}\n"


def test_long_text_is_never_folded():
    assert yaml_file({"expr": "word " * 100 + "end"}).count("\n") == 1


def test_equal_values_are_written_out_instead_of_referred_to():
    shared = ["x"]
    assert yaml_file({"a": shared, "b": shared}) == "a:\n  - x\nb:\n  - x\n"


@pytest.mark.parametrize("text", ["true", "0.25", "null", "a: b", "# no comment", "", " padded "])
def test_text_that_looks_like_something_else_is_quoted(text):
    assert '"' in yaml_file({"key": text})

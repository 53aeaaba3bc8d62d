"""The forms of a diagnostic: for people, for programs, for GitHub."""

import json

import pytest
from rich.cells import cell_len

from mlvitals.generator.spec.diagnostics import (
    Diagnostic,
    Position,
    SpecError,
    dotted,
    printable,
    render,
    render_github,
    render_json,
)


def diagnostic(
    column: int = 1, length: int = 1, file: str = "x.yaml", message: str = "wrong", hint: str = ""
) -> Diagnostic:
    return Diagnostic(file, Position(1, column), message, "type", hint, length)


def marked(line: str, column: int, length: int = 1) -> str:
    """What stands above the carets when a line is shown."""
    _, source, carets = render(diagnostic(column, length), [line]).split("\n")
    start = len(carets) - len(carets.lstrip())
    width = len(carets) - start
    shown, cells = "", 0
    for character in source:
        if start <= cells < start + width:
            shown += character
        cells += cell_len(character)
    return shown


def test_people_see_place_message_hint_line_and_carets():
    problem = Diagnostic(
        "specs/x.yaml", Position(2, 3), 'unknown key "lenght"', "unknown-key", 'did you mean "length"?', 6
    )
    assert render(problem, ["windows:", "  lenght: 1h"]) == (
        'specs/x.yaml:2:3: error: unknown key "lenght"; did you mean "length"?\n      lenght: 1h\n      ^^^^^^'
    )


def test_a_place_after_the_last_line_shows_no_line():
    assert render(diagnostic(), []) == "x.yaml:1:1: error: wrong"


@pytest.mark.parametrize(
    ("line", "column", "length", "expected"),
    [
        ("a: bad", 4, 3, "bad"),
        ("\ta:\tbad", 5, 3, "bad"),
        ("日本: bad", 5, 3, "bad"),
        ("e\u0301te\u0301: bad", 8, 3, "bad"),
        ("x: 日本 y", 4, 2, "日本"),
        ("\x1b[31m: bad", 8, 3, "bad"),
        ("a\u200bb: bad", 6, 3, "bad"),
        ("k: " + "y" * 500 + " bad " + "z" * 500, 505, 3, "bad"),
    ],
)
def test_the_carets_stand_under_what_they_mark(line: str, column: int, length: int, expected: str):
    assert marked(line, column, length) == expected


def test_a_long_line_is_cut_around_the_place():
    source = render(diagnostic(505, 3), ["y" * 504 + "bad" + "z" * 500]).split("\n")[1]
    assert source.startswith("    …y")
    assert source.endswith("z…")
    assert len(source) < 120


def test_a_mark_that_outlasts_the_line_ends_with_it():
    assert render(diagnostic(3, 10**9), ["abcd"]).endswith("\n    abcd\n      ^^")


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\x7f"])
def test_characters_that_steer_a_terminal_are_written_as_escapes(character: str):
    problem = diagnostic(file=f"{character}.yaml", message=f"a{character}b", hint=f"c{character}d")
    for text in (render(problem, [f"x: {character}"]), render_github([problem]), render_json([problem])):
        assert character not in text


def test_a_password_in_a_url_is_starred_out_at_its_length():
    assert printable("postgresql://me:s3cret@db") == "postgresql://me:******@db"
    assert marked("url: postgresql://me:s3cret@db bad", 32, 3) == "bad"
    assert "s3cret" not in render(diagnostic(), ["url: postgresql://me:s3cret@db"])


def test_programs_see_one_list_of_objects():
    assert json.loads(render_json([diagnostic(4, 3, hint="quote it")])) == [
        {
            "file": "x.yaml",
            "line": 1,
            "column": 4,
            "end_column": 7,
            "severity": "error",
            "rule": "type",
            "message": "wrong",
            "hint": "quote it",
        }
    ]


def test_no_diagnostics_are_an_empty_list():
    assert json.loads(render_json([])) == []


def test_github_sees_a_workflow_command():
    assert render_github([diagnostic(4, 3)]) == "::error file=x.yaml,line=1,col=4,endColumn=7,title=type::wrong"


def test_what_means_something_to_github_is_escaped():
    problem = diagnostic(file="a,b:c%.yaml", message="100%, see: ::error::", hint="a, b")
    assert render_github([problem]) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=1,endColumn=2,title=type::100%25, see: ::error::; a, b"
    )


def test_a_line_break_cannot_begin_another_command():
    assert render_github([diagnostic(file="a\n::b", message="x\n::error::y")]).count("\n") == 0


def test_an_error_holds_each_problem_once_by_place():
    first, second = diagnostic(2), diagnostic(9)
    assert SpecError([second, first, second]).diagnostics == (first, second)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), "the spec"),
        (("features", "amount"), "features.amount"),
        (("escalation", 1, "role"), "escalation[1].role"),
        (("features", 'a "b"', "type"), 'features["a \\"b\\""].type'),
    ],
)
def test_a_path_is_written_as_people_write_it(path: tuple[str | int, ...], expected: str):
    assert dotted(path) == expected

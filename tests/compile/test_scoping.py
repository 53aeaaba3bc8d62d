"""Matchers reach every selector of the wanted metrics, once, and nothing that only looks like one."""

import subprocess

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlvitals.generator.promql import metric_names, selector, syntax_nodes, with_matchers, without_comments

METRICS = ("shop_rows", "shop:rows:max", "up")
IDENTITY = {"env": 'sta"g\\ing', "zone": "eu `1` {x}"}
WANTED = dict.fromkeys(METRICS, selector("", **IDENTITY)[1:-1])

confusing = st.sampled_from([*METRICS, "shop_rows{", "} # no", "{up", "a b", "it's", "", "\\n", "env"])
names = st.sampled_from([*METRICS, "other", "by_", "rate5m", "env"])
labels = st.sampled_from(["a", "up", "shop_rows", "other"])
gaps = st.sampled_from(["", " ", "\n", " # it's {up} \"a` \n", "\t#\n# shop_rows{\n "])


@st.composite
def strings(draw) -> str:
    text = draw(confusing)
    mark = draw(st.sampled_from(['"', "'", "`"]))
    if mark == "`":
        return f"`{text.replace('`', '')}`"
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


@st.composite
def selectors(draw) -> str:
    found = [
        f"{draw(labels)}{draw(gaps)}{draw(st.sampled_from(['=', '!=', '=~', '!~']))} 'x'"
        for _ in range(draw(st.integers(0, 2)))
    ]
    found += [f"a!={draw(strings())}"] if draw(st.booleans()) else []
    braces = f"{draw(gaps)}{{{draw(gaps)}{' , '.join(found)}{draw(gaps)}}}" if found or draw(st.booleans()) else ""
    return draw(names) + braces + draw(st.sampled_from(["", " offset 5m", " @ 1e9"]))


def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    @st.composite
    def around(draw) -> str:
        one, gap = draw(inner), draw(gaps)
        return draw(
            st.sampled_from(
                [
                    f"sum by (up, shop_rows){gap}({one})",
                    f"sum({one}{gap}) without (a)",
                    f"({one}) {gap}* on (up) group_left (shop_rows) {gap}({draw(inner)})",
                    f"label_replace({one}, {draw(strings())}, 'x',{gap} \"y\", `z`)".replace(", '', ", ", 'l', "),
                    f"-{gap}({one}) > 1e3",
                    f"({one})[5m:1m]".join(("max_over_time(", ")")),
                ]
            )
        )

    return around()


expressions = st.recursive(selectors(), wider, max_leaves=4)


def read(expression: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The selectors of an expression, in order: metric, and its matchers."""
    return [
        (node.name, sorted((each.name, f"{each.op}{each.value}") for each in node.matchers.matchers))
        for node in syntax_nodes(expression)
        if type(node).__name__ == "VectorSelector"
    ]


def parses(expression: str) -> bool:
    try:
        metric_names(expression)
    except ValueError:
        return False
    return True


@settings(max_examples=150)
@given(expressions)
def test_every_selector_gets_them_once_and_nothing_else_changes(expression: str):
    if not parses(expression):
        return
    scoped = with_matchers(expression, WANTED)
    own = sorted((name, f"MatchOp.Equal{value}") for name, value in IDENTITY.items())
    expected = [(name, sorted([*there, *own]) if name in METRICS else there) for name, there in read(expression)]
    assert read(scoped) == expected
    assert with_matchers(scoped, WANTED) == scoped


@settings(max_examples=60)
@given(expressions)
def test_without_comments_nothing_else_changes(expression: str):
    if parses(expression):
        plain = without_comments(expression)
        assert read(f"sum({plain})") == read(expression)
        assert without_comments(plain) == plain


def test_some_of_two_selectors_may_have_them_already():
    half = 'shop_rows{env="a"} / shop_rows'
    assert with_matchers(half, {"shop_rows": 'env="a"'}) == 'shop_rows{env="a"} / shop_rows{env="a"}'


@pytest.mark.parametrize("said", ["{env=~'a|b'}", "{env # why\n !~ 'b'}", '{"env"="b"}', "{x='env=', env!=``}"])
def test_a_selector_that_names_the_label_keeps_its_own_word(said):
    mixed = f"shop_rows{said} / shop_rows"
    assert with_matchers(mixed, {"shop_rows": 'env="a"'}, unsaid=True) == f'shop_rows{said} / shop_rows{{env="a"}}'


def test_a_label_within_a_string_names_nothing():
    assert with_matchers("up{x='env=\"b\"'}", {"up": 'env="a"'}, unsaid=True) == 'up{env="a",x=\'env="b"\'}'


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(up) # of up's {pods}\n+ up", 'sum(up{x="1"}) # of up\'s {pods}\n+ up{x="1"}'),
        ("up {job='up{'}", "up {x=\"1\",job='up{'}"),
        ("up # why\n{job='a', # } it's\n}", "up # why\n{x=\"1\",job='a', # } it's\n}"),
        ("sum by (up) (a{up='up'})", "sum by (up) (a{up='up'})"),
        ("up{}", 'up{x="1"}'),
        ("a{b='it\\'s up', c=`\\`} or up", "a{b='it\\'s up', c=`\\`} or up{x=\"1\"}"),
    ],
)
def test_strings_and_comments_are_left_alone(expression, expected):
    assert with_matchers(expression, {"up": 'x="1"'}) == expected


@pytest.mark.parametrize("release", ["stable", "sid"])
def test_promtool_reads_what_was_scoped(release, servers, tmp_path):
    """The real parser takes every scoped expression that it took before."""
    found: list[str] = []

    @settings(max_examples=100, database=None)
    @given(expressions)
    def collect(expression: str) -> None:
        if parses(expression):
            found.append(expression)

    collect()
    taken = [one for one in dict.fromkeys(found) if one.strip()]
    assert len(taken) > 50

    def checked(rules: list[str]) -> str:
        group = {"name": "g", "rules": [{"record": f"r:{n}:x", "expr": one} for n, one in enumerate(rules)]}
        path = tmp_path / "rules.yml"
        path.write_text(yaml.safe_dump({"groups": [group]}))
        done = subprocess.run(
            [servers("promtool", release), "check", "rules", path], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr if done.returncode else ""

    assert checked(taken) == ""
    assert checked([with_matchers(one, WANTED) for one in taken]) == ""

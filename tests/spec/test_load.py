"""Loading a spec: what is accepted, what is refused, with which words and at which place."""

import string
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlvitals.generator.spec import document
from mlvitals.generator.spec.defaults import completed
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import MAX_SHOWN, load_spec, parse_spec
from mlvitals.generator.spec.model import FeatureType, Spec
from mlvitals.generator.spec.validation import violations

SMALL = """\
version: 1
system: {name: shop}
prediction_log: {path: log, score: score}
features: {amount: {}}
"""


def errors(text: str) -> list[str]:
    """Every problem of a spec, as ``line:column message``."""
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "x.yaml")
    return [f"{item.position.line}:{item.position.column} {item.text}" for item in caught.value.diagnostics]


def errors_after_small(text: str) -> list[str]:
    """Every problem of a small spec that a text, from line 5 on, makes larger."""
    return errors(SMALL + text)


# ---------------------------------------------------------------- what is accepted


def test_ten_lines_describe_a_system_and_defaults_do_the_rest():
    spec = parse_spec(
        "version: 1\n"
        "system:\n"
        "  name: shop\n"
        "prediction_log:\n"
        "  path: log/\n"
        "  score: score\n"
        "features:\n"
        "  amount: {nullable: true}\n"
        "  country: {type: categorical}\n"
    )
    assert spec.features["country"].type is FeatureType.CATEGORICAL
    assert (spec.window_length, spec.step) == ("1h", "1h")
    assert spec.alerts.feature_psi.critical == 0.25


def test_a_hostile_feature_name_loads_unharmed():
    spec = parse_spec(SMALL.replace("amount", r'"we\"ird\\{{ $name }} é\nx"'))
    assert list(spec.features) == ['we"ird\\{{ $name }} é\nx']


def test_a_byte_order_mark_is_no_part_of_the_spec(tmp_path: Path):
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_spec(file).system.name == "shop"


def test_windows_line_ends_are_line_ends():
    assert parse_spec(SMALL.replace("\n", "\r\n")).system.name == "shop"


def test_a_policy_given_in_part_keeps_the_other_levels_of_its_place():
    alerts = parse_spec(SMALL + "alerts: {feature_psi: {warning: 0.12}, latency_p99: {cooldown: {warning: 5m}}}").alerts
    assert (alerts.feature_psi.warning, alerts.feature_psi.critical) == (0.12, 0.25)
    assert alerts.latency_p99.cooldown.critical == "15m"


def test_a_level_that_is_null_is_off():
    assert parse_spec(SMALL + "alerts: {feature_psi: {critical: null}}").alerts.feature_psi.critical is None


def test_an_alias_stands_for_the_value_it_names():
    spec = parse_spec(
        SMALL.replace("{amount: {}}", "{a: {thresholds: &tight {psi: {warning: 0.05}}}, b: {thresholds: *tight}}")
    )
    assert spec.features["a"].thresholds == spec.features["b"].thresholds


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2026-03-03", "2026-03-03"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("'5'", "5"),
    ],
)
def test_a_plain_scalar_is_text_unless_yaml_1_2_says_otherwise(written: str, meant: str):
    assert parse_spec(SMALL + f"exporter: {{job: {written}}}").exporter.job == meant


@pytest.mark.parametrize(("written", "meant"), [("1e3", 1000), ("010", 10), ("0o17", 15), ("0x1F", 31), ("-.5", -0.5)])
def test_a_number_is_what_yaml_1_2_says(written: str, meant: float):
    assert (
        parse_spec(SMALL.replace("amount: {}", f"amount: {{minimum: {written}}}")).features["amount"].minimum == meant
    )


# ---------------------------------------------------------------- the file


def test_a_missing_file_is_an_error_in_words(tmp_path: Path):
    with pytest.raises(SpecError, match=r"none\.yaml:1:1: error: cannot read the spec: No such file or directory"):
        load_spec(tmp_path / "none.yaml")


def test_a_folder_is_an_error_in_words(tmp_path: Path):
    with pytest.raises(SpecError, match="cannot read the spec: Is a directory"):
        load_spec(tmp_path)


def test_a_name_that_no_file_can_have_is_an_error_in_words():
    with pytest.raises(SpecError, match="cannot read the spec"):
        load_spec("a\0b")


def test_a_file_of_ten_megabytes_is_one_error(tmp_path: Path):
    file = tmp_path / "x.yaml"
    file.write_bytes(b"a: b\n" * 2_000_000)
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.text == "the file is larger than 1,048,576 bytes, the limit for a spec"


def test_a_text_of_ten_megabytes_is_one_error():
    assert errors("#" * 10_000_000) == ["1:1 the file is larger than 1,048,576 bytes, the limit for a spec"]


def test_the_first_byte_that_is_not_utf8_is_named(tmp_path: Path):
    file = tmp_path / "x.yaml"
    file.write_bytes("version: 1\nsystem: {name: é".encode() + b"\xff}")
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.position.line, diagnostic.position.column) == (2, 17)
    assert diagnostic.text == "the byte 0xff is not valid UTF-8; save the file as UTF-8"


def test_half_a_character_in_a_text_is_refused():
    assert errors("a: \ud800") == ["1:4 the byte 0xed is not valid UTF-8; save the file as UTF-8"]


def test_a_control_character_is_refused_where_it_stands():
    assert errors("version: 1\nsystem: \x1b[31m") == [
        "2:9 the character U+001B is not allowed in YAML; remove it, or write it as an escape in double quotes"
    ]


# ---------------------------------------------------------------- YAML


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n"])
def test_an_empty_file_is_an_error(text: str):
    assert errors(text) == ["1:1 the file is empty; a spec starts with version: 1"]


@pytest.mark.parametrize(("text", "place"), [("- a", "1:1"), ("\n text", "2:2"), ("---\n", "2:1"), ("--- 5", "1:5")])
def test_a_spec_that_is_no_mapping_is_an_error(text: str, place: str):
    assert errors(text) == [f"{place} a spec is a mapping with keys such as version, system and features"]


def test_a_second_document_is_an_error():
    assert errors_after_small("---\nversion: 1\n") == [
        "5:1 a second document starts here; a file holds one spec",
    ]


def test_a_syntax_error_has_its_place():
    (error,) = errors("version: 1\nsystem: {name: [}\n")
    assert error.startswith("2:17 this is not YAML: ")


def test_a_tab_that_indents_is_named():
    (error,) = errors("version: 1\nsystem:\n\tname: shop\n")
    assert error.startswith("3:1 this is not YAML: ")
    assert error.endswith("; indent with spaces, not tabs")


def test_text_with_a_colon_and_a_space_is_told_to_wear_quotes():
    (error,) = errors("version: 1\nsystem: {name: shop}\nlinks: see: below\n")
    assert error.startswith("3:11 this is not YAML: ")
    assert error.endswith("; put text that contains a colon and a space in quotes")


def test_a_duplicate_key_names_the_line_of_the_first():
    assert errors_after_small("windows: {length: 1h}\nwindows: {length: 2h}\n") == [
        '6:1 duplicate key "windows"; the first one is on line 5'
    ]


@pytest.mark.parametrize("number", [".nan", ".NaN", ".inf", "-.INF"])
def test_a_number_that_is_none_is_refused_wherever_it_stands(number: str):
    assert errors_after_small(f"serving:\n  endpoints: [/a, {number}]\n") == [
        f"6:19 {number} is not a number that a spec can use",
    ]


def test_a_number_beyond_every_float_is_refused():
    assert errors_after_small("skew: {tolerance: 1e999}") == ["5:19 this number is out of the range of a 64-bit float"]


@pytest.mark.parametrize("digits", ["9" * 20, "1" + "0" * 5000, "-" + "9" * 20])
def test_a_whole_number_beyond_64_bits_is_refused(digits: str):
    assert errors_after_small(f"exporter: {{top_bins: {digits}}}") == ["5:22 this integer needs more than 64 bits"]


@pytest.mark.parametrize("key", ["true", "5", "null", "1.5", "0x1"])
def test_a_key_that_is_not_text_is_refused(key: str):
    assert errors(SMALL.replace("amount", key)) == [
        f'4:12 a key must be text; "{key}" is not; put it in double quotes',
    ]


def test_a_list_as_a_key_is_refused():
    assert errors_after_small("? [a, b]\n: c\n") == ["5:3 a key must be text, not a list"]


def test_a_merge_key_is_refused_without_missing_what_it_would_bring():
    text = SMALL + "sources:\n  a: &a {max_age: 5m}\n  b:\n    <<: *a\n"
    assert errors(text) == ["8:5 merge keys are not supported; write the keys out, or use an alias for the whole value"]


def test_a_tag_makes_no_object():
    assert errors_after_small("links: !!python/object/apply:os.system [date]") == [
        '5:8 the tag "tag:yaml.org,2002:python/object/apply:os.system" is not allowed; remove it'
    ]


def test_an_alias_without_anchor_is_refused():
    (error,) = errors_after_small("windows: *there\n")
    assert error == "5:10 the alias *there has no anchor before it"


def test_an_alias_inside_what_it_names_is_refused():
    assert errors_after_small("windows: &w {length: *w}\n") == [
        "5:22 the alias *w is inside the value that it refers to"
    ]


def test_an_alias_bomb_is_refused_before_it_goes_off():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)
    )
    (error,) = errors(bomb)
    assert error.endswith("with its aliases expanded, the spec holds more than 100,000 values")


def test_aliases_cannot_nest_deeper_than_text_may():
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))
    (error,) = errors(chain)
    assert error == "49:12 values are nested more than 50 deep"


@pytest.mark.parametrize(
    ("opening", "place"), [("[", "1:51"), ("{a: ", "1:201"), ("- ", "1:101"), ("? ", "1:101"), ("[{", "1:51")]
)
def test_a_hundred_thousand_levels_are_refused_without_recursion(opening: str, place: str):
    assert errors(opening * 100_000) == [f"{place} values are nested more than 50 deep"]


def test_both_of_pyyamls_parsers_give_the_same_data_and_places(monkeypatch: pytest.MonkeyPatch):
    if not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML has no libyaml here")
    text = (
        SMALL
        + "links: {}\nserving:\n  # é\n  stages: [a, 'b c', \"d\\ne\"]\n  日本: |\n    x\n    y\nbusiness:\nz: *b\n"
    ).replace("{name: shop}", "&b {name: shop}")
    fast = document.parse(text.encode(), "x.yaml")
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert document.parse(text.encode(), "x.yaml") == fast


# ---------------------------------------------------------------- the schema


def test_an_unknown_key_stands_at_the_key_and_suggests_the_nearest():
    assert errors(SMALL.replace("amount: {}", "amount: {treshold: 3}")) == [
        '4:21 unknown key "treshold" in features.amount; did you mean "thresholds"?'
    ]


def test_an_unknown_key_like_no_other_suggests_nothing():
    assert errors_after_small("qqq: 3") == ['5:1 unknown key "qqq"']


def test_a_misspelt_required_key_is_not_missing_too():
    assert errors_after_small("sources: {batch: {max_aeg: 5m}}") == [
        '5:19 unknown key "max_aeg" in sources.batch; did you mean "max_age"?'
    ]


def test_a_missing_key_stands_at_the_mapping_that_lacks_it():
    assert errors_after_small("sources:\n  batch:\n    path: x\n") == [
        '6:3 sources.batch lacks the required key "max_age"'
    ]


def test_missing_sections_stand_at_the_start():
    assert errors("# a comment\nversion: 1\nsystem: {name: shop}\n") == [
        '2:1 the spec lacks the required key "features"',
        '2:1 the spec lacks the required key "prediction_log"',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("windows: []", "5:10 windows must be a mapping, not an empty list"),
        ("windows:", "5:9 windows must be a mapping, not empty; give it a value, or leave the key out"),
        ("windows:\n  - a\n", "5:1 windows must be a mapping, not a list of 1"),
        ("serving: {stages: inference}", '5:19 serving.stages must be a list, not the text "inference"'),
        ("serving: {gpu: yes}", '5:16 serving.gpu must be true or false, not the text "yes"; write true'),
        ("serving: {gpu: off}", '5:16 serving.gpu must be true or false, not the text "off"; write false'),
        ("exporter: {job: 5}", "5:17 exporter.job must be text, not the number 5; put it in quotes if text is meant"),
        ("exporter: {job: true}", "5:17 exporter.job must be text, not true; put it in quotes if text is meant"),
        ("exporter: {top_bins: 2.0}", "5:22 exporter.top_bins must be an integer, not the number 2.0"),
        ("exporter: {top_bins: true}", "5:22 exporter.top_bins must be an integer, not true"),
        (
            "telemetry: {series_budget: 1_000}",
            '5:28 telemetry.series_budget must be an integer, not the text "1_000"; '
            "write the number without quotes and underscores",
        ),
        (
            "telemetry: {log_sample_rate: 5%}",
            '5:30 telemetry.log_sample_rate must be a number, not the text "5%"; write a share as a number: 5% is 0.05',
        ),
    ],
)
def test_a_wrong_type_says_what_was_found_and_what_is_wanted(text: str, expected: str):
    assert errors_after_small(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reference: {bins: 500}", "5:19 reference.bins must be at least 2 and at most 100, not the number 500"),
        ("skew: {tolerance: -1}", "5:19 skew.tolerance must be at least 0, not the number -1"),
        (
            "slos: {a: {kind: latency, objective: 1}}",
            "5:38 slos.a.objective must be above 0 and below 1, not the number 1",
        ),
        ("exporter: {job: ''}", "5:17 exporter.job must not be empty"),
        (f"exporter: {{job: {'x' * 201}}}", "5:17 exporter.job must have at most 200 characters"),
        ("alerts: {variance_ratio: [1]}", "5:26 alerts.variance_ratio must have at least 2 entries"),
        ("alerts: {variance_ratio: [1, 2, 3]}", "5:26 alerts.variance_ratio must have at most 2 entries"),
    ],
)
def test_a_value_out_of_range_names_the_bound(text: str, expected: str):
    assert errors_after_small(text) == [expected]


def test_a_spec_without_features_is_refused():
    assert errors(SMALL.replace("{amount: {}}", "{}")) == ["4:11 features must not be empty"]


def test_a_value_that_is_no_choice_lists_them_and_suggests_the_nearest():
    assert errors(SMALL.replace("amount: {}", "amount: {skew: pzi}")) == [
        '4:27 features.amount.skew must be one of "js", "ks", "psi", not the text "pzi"; did you mean "psi"?'
    ]


@pytest.mark.parametrize("version", ["2", "1.0", "true", "'1'"])
def test_only_version_1_is_version_1(version: str):
    (error,) = errors(SMALL.replace("version: 1", f"version: {version}"))
    assert error.startswith("1:10 version must be 1, not ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "windows: {grace: 5 minutes}",
            '5:18 windows.grace must be a duration such as 15s, 5m, 1h30m, not the text "5 minutes"',
        ),
        (
            "windows: {grace: 60}",
            "5:18 windows.grace must be a duration such as 15s, 5m, 1h30m, not the number 60; "
            "write the unit: s, m, h, d or w",
        ),
        (
            'windows: {grace: "5m\\n"}',
            '5:18 windows.grace must be a duration such as 15s, 5m, 1h30m, not the text "5m\\n"',
        ),
        (
            "windows: {grace: 12:30}",
            '5:18 windows.grace must be a duration such as 15s, 5m, 1h30m, not the text "12:30"',
        ),
        (
            "reference: {alias: Prod}",
            "5:20 reference.alias must be a lower-case letter, then lower-case letters, digits or underscores, "
            'not the text "Prod"',
        ),
        (
            "exporter: {listen: here}",
            '5:20 exporter.listen must be HOST:PORT, such as localhost:9108, not the text "here"',
        ),
        (
            "links: {grafana: 'ftp://x'}",
            '5:18 links.grafana must be a URL that starts with http:// or https://, not the text "ftp://x"',
        ),
        (
            "slos: {Fast: {kind: latency, objective: 0.9}}",
            '5:8 the key "Fast" in slos must be a lower-case letter, then lower-case letters, digits or underscores',
        ),
    ],
)
def test_a_wrong_form_is_explained_in_words(text: str, expected: str):
    assert errors_after_small(text) == [expected]


# ---------------------------------------------------------------- all at once, and nothing that merely follows


def test_all_problems_of_a_file_are_reported_in_one_run():
    assert errors(
        "version: 1\n"
        "system: {name: shop, titel: Shop}\n"
        "prediction_log: {path: log}\n"
        "features:\n"
        "  amount:\n"
        "    treshold: 3\n"
        "    source: nowhere\n"
        "  amount: {}\n"
        "  price: {bins: 500, nullable: yes}\n"
        "  height: {minimum: .nan}\n"
        "windows: {length: 60}\n"
        "alerts: {feature_psi: {warning: 0.5}}\n"
        "sources: {batch: {max_age: 0s}}\n"
        "routing: {critical: pager}\n"
    ) == [
        '2:22 unknown key "titel" in system; did you mean "title"?',
        '6:5 unknown key "treshold" in features.amount; did you mean "thresholds"?',
        '8:3 duplicate key "amount"; the first one is on line 5',
        "9:17 features.price.bins must be at least 2 and at most 100, not the number 500",
        '9:32 features.price.nullable must be true or false, not the text "yes"; write true',
        "10:21 .nan is not a number that a spec can use",
        "11:19 windows.length must be a duration such as 15s, 5m, 1h30m, not the number 60; "
        "write the unit: s, m, h, d or w",
        "12:33 alerts.feature_psi.warning 0.5 is above critical 0.25",
        "13:28 sources.batch.max_age must be longer than zero",
        '14:21 routing.critical is "pager", which routing.receivers does not define',
    ]


def test_a_name_with_an_error_inside_is_defined_all_the_same():
    text = SMALL.replace("amount: {}", "amount: {source: batch}") + "sources: {batch: {max_age: 5}}\n"
    (error,) = errors(text)
    assert error.startswith("5:28 sources.batch.max_age must be a duration")


def test_nothing_dangles_into_a_section_that_is_wrong_as_a_whole():
    text = SMALL.replace("amount: {}", "amount: {source: batch}") + "sources: [batch]\n"
    assert errors(text) == ["5:10 sources must be a mapping, not a list of 1"]


def test_nothing_dangles_into_a_section_whose_name_is_misspelt():
    text = SMALL.replace("amount: {}", "amount: {source: batch}") + "source: {batch: {max_age: 5m}}\n"
    assert errors(text) == ['5:1 unknown key "source"; did you mean "sources"?']


def test_nothing_dangles_into_a_section_that_stands_twice():
    text = SMALL.replace("amount: {}", "amount: {source: b}")
    assert errors(text + "sources: {a: {max_age: 5m}}\nsources: {b: {max_age: 5m}}\n") == [
        '6:1 duplicate key "sources"; the first one is on line 5'
    ]


def test_a_wrong_level_is_not_compared_with_the_others():
    (error,) = errors_after_small("alerts: {feature_psi: {warning: high, critical: 0.05}}")
    assert error.startswith("5:33 alerts.feature_psi.warning must be a number")


def test_rules_judge_what_a_missing_section_leaves():
    assert errors("version: 1\nsystem: {}\nfeatures: {a: {source: nowhere}}\n") == [
        '1:1 the spec lacks the required key "prediction_log"',
        '2:1 system lacks the required key "name"',
        '3:24 features.a.source is "nowhere", which sources does not define',
    ]


def test_a_wrong_item_does_not_shift_the_places_of_the_items_after_it():
    assert errors_after_small(
        "escalation:\n"
        "  - {role: a, after: soon, via: [sms]}\n"
        "  - {role: b, after: 5m, via: [sms], contacts: [ben]}\n"
        "  - {role: c, after: 5m, via: [sms], contacts: [ann]}\n"
        "responders: {ben: {email: b@b, phone: +1-555-0100}}\n"
    ) == [
        '6:22 escalation[0].after must be a duration such as 15s, 5m, 1h30m, not the text "soon"',
        "8:22 escalation[2].after 5m is not later than the 5m of the previous level",
        '8:49 escalation[2].contacts[0] is "ann", which responders does not define',
    ]


def test_a_flood_of_problems_is_cut_short():
    with pytest.raises(SpecError) as caught:
        parse_spec("".join(f"f{n}: 1\n" for n in range(20_000)))
    assert len(caught.value.diagnostics) == MAX_SHOWN + 1
    assert any(item.message == f"there are more problems than these {MAX_SHOWN}" for item in caught.value.diagnostics)


# ---------------------------------------------------------------- anything at all

_words = (
    "version: 1\n|features:\n|  a:\n|psi|1h|.nan|1e9|\\ud800|\\x00|%YAML 1.1\n|%TAG ! x\n"
    "|\n  |: |- |&a |*a|<<: |---\n|...\n|!!str "
)
_pieces = st.sampled_from([*"\n \t:-?[]{}&*!|>'\"%#,@`~.0aé\x85\u2028\ufeff", *_words.split("|")])


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=60), st.lists(_pieces, max_size=30).map(lambda pieces: "".join(pieces).encode())))
def test_loading_never_fails_but_with_a_spec_error(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(content)
    try:
        load_spec(file)
    except SpecError as error:
        assert str(error).startswith(str(file))


@settings(max_examples=200)
@given(st.lists(_pieces, max_size=30).map("".join))
def test_the_parser_in_python_never_fails_but_with_a_spec_error_either(text: str):
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(yaml, "CSafeLoader", raising=False)
        try:
            parse_spec(text)
        except SpecError as error:
            assert error.diagnostics


_WHOLE = msgspec.to_builtins(
    parse_spec(
        SMALL.replace("amount: {}", "amount: {source: s, thresholds: {psi: {warning: 0.1}, variance_ratio: [0.5, 2]}}")
        + "sources: {s: {max_age: 5m, path: x}}\n"
        "business: {events: {a: {}, b: {unit: dollars}}, kpis: {k: {numerator: a, denominator: b}}}\n"
        "slos: {fast: {kind: latency, objective: 0.99, threshold: 0.1}}\n"
        "routing: {warning: r, receivers: {r: {slack: {channel: '#x', webhook_file: f}}}, quiet_hours: "
        "[{days: [mon], start: '00:00', end: '06:00'}], maintenance: "
        "[{start: 2026-01-01T00:00Z, end: 2026-01-02T00:00Z, reason: r}]}\n"
        "responders: {ann: {email: a@b, phone: +1-555-0100}}\n"
        "escalation: [{role: r, after: 0s, via: [sms], contacts: [ann]}]\n"
    )
)
_REQUIRED = tuple(yaml.safe_load(SMALL))
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 1.0, 0.0, 2, 100, 101, 0.5, 5e-324, 1e308]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(string.printable, max_size=5),
    st.sampled_from(
        ["5m", "5m\n", "1h30m", "0s", "", "a", "A", "x" * 41, "x" * 201, "é" * 200, "😀" * 200, "float", "psi"]
    )
    | st.sampled_from(
        ["http://x", "http://x\n", "a:1", "a:1\n", "#x", "a@b", "24:00", "2026-01-01T00:00Z", "٣:1", "sms"]
    ),
)
_values = st.one_of(
    _scalars, st.lists(_scalars, max_size=3), st.dictionaries(st.text(max_size=3), _scalars, max_size=2)
)


@st.composite
def mutated_specs(draw: st.DrawFn) -> dict[str, object]:
    """A spec in which one value was replaced, removed or added; it has the sections that must be, and that value's."""
    whole = msgspec.json.decode(msgspec.json.encode(_WHOLE))
    place = whole
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if place is whole:
            place = whole = {name: whole[name] for name in (*_REQUIRED, key)}
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    if action == "replace":
        place[key] = draw(_values)
    elif action == "remove":
        del place[key]
    elif isinstance(place, dict):
        place[draw(st.text(max_size=5))] = draw(_values)
    else:
        place.append(draw(_values))
    return whole


@settings(max_examples=600)
@given(mutated_specs())
def test_msgspec_and_the_json_schema_accept_the_same_specs(data: dict[str, object]):
    try:
        msgspec.convert(completed(data), Spec)
    except msgspec.ValidationError:
        accepted = False
    else:
        accepted = True
    assert accepted == (not violations(data, frozenset()).problems)


def test_a_sound_spec_is_loaded_without_jsonschema():
    import subprocess
    import sys

    script = (
        f"from mlvitals.generator.spec.load import parse_spec; parse_spec({SMALL!r});"
        "import sys; print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

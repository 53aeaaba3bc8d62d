"""Defaults of partly written sections: they depend on the place of the section in the spec.

``alerts: {feature_psi: {warning: 0.12}}`` must not lose the critical threshold that `Alerts.feature_psi` has by
default, although `AlertPolicy` itself has none. An explicit null stays null: it turns the level off.
"""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec

from mlvitals.generator.spec.model import Part, Spec
from mlvitals.generator.spec.walk import fields


def completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a spec, with omitted keys filled in from the defaults of the same sections."""
    return _section(data, Spec, {})


def _section(given: Mapping[str, Any], section: type[Part], inherited: Mapping[str, Any]) -> dict[str, Any]:
    result = {**inherited, **given}
    for field in fields(section):
        if field.encode_name in given:
            default = inherited.get(field.encode_name, _builtins(field.default))
            result[field.encode_name] = _value(given[field.encode_name], field.type, default)
    return result


def _value(given: Any, annotation: Any, default: Any) -> Any:
    """Complete the data where a type expects sections; anything of another shape is left to validation."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        inherited = default if isinstance(default, dict) else {}
        return _section(given, annotation, inherited) if isinstance(given, dict) else given
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return (
            {key: _value(entry, arguments[1], None) for key, entry in given.items()}
            if isinstance(given, dict)
            else given
        )
    if get_origin(annotation) is tuple:
        return [_value(entry, arguments[0], None) for entry in given] if isinstance(given, list) else given
    for argument in arguments:
        given = _value(given, argument, default)
    return given


def _builtins(default: Any) -> Any:
    return msgspec.to_builtins(default) if isinstance(default, Part) else None

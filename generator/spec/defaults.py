"""A section given in part keeps the defaults of the place it stands in.

``alerts: {feature_psi: {warning: 0.12}}`` must not lose the critical threshold that `Alerts.feature_psi` has by
default, though `AlertPolicy` on its own has none. A null that is written stays a null: it switches the level off.
"""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec

from mlvitals.generator.spec.model import Part, Spec
from mlvitals.generator.spec.walk import fields


def completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a spec, with what its sections leave out taken from the defaults of those very sections."""
    return _section(data, Spec, {})


def _section(given: Mapping[str, Any], section: type[Part], inherited: Mapping[str, Any]) -> dict[str, Any]:
    result = {**inherited, **given}
    for field in fields(section):
        if field.encode_name in given:
            default = inherited.get(field.encode_name, _builtins(field.default))
            result[field.encode_name] = _value(given[field.encode_name], field.type, default)
    return result


def _value(given: Any, annotation: Any, default: Any) -> Any:
    """Complete what is given where a type expects sections; anything of another shape is left to validation."""
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

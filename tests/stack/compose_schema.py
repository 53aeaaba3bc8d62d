"""The schema of Compose, whose unknown keys are refused."""

import json
import lzma
from functools import cache
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"


@cache
def validator() -> jsonschema.protocols.Validator:
    schema = json.loads(lzma.decompress((SCHEMAS / "compose-spec.json.xz").read_bytes()))
    return jsonschema.validators.validator_for(schema)(schema)


def problems(document: dict) -> list[str]:
    """What Compose would not accept of a file."""
    return [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator().iter_errors(document)]

"""The JSON Schema of specs, generated from the model for editors and for validation.

``python -m mlvitals.generator.spec.schema`` writes it next to this file, where the yaml-language-server line of the specs
finds it.
"""

from pathlib import Path
from typing import Any

import msgspec

from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import json_file

FILE = Path(__file__).resolve().with_name("mlvitals.schema.json")


def json_schema() -> dict[str, Any]:
    """Return the schema, in draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:mlvitals:spec:1",
        "title": "mlvitals monitoring spec",
        **msgspec.json.schema(Spec),
    }


def schema_text() -> str:
    """Return the schema as committed; the same model gives the same text."""
    return json_file(json_schema())


if __name__ == "__main__":
    FILE.write_text(schema_text(), encoding="utf-8")

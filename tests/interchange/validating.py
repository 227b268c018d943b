"""What OASIS's validator and library say of STIX objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import stix2  # type: ignore[import-untyped]
from stix2validator import (  # type: ignore[import-untyped]
    ValidationOptions,
    validate_instance,
)

OPTIONS = ValidationOptions(version="2.1", strict=False)


def problems_of(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """Errors and warnings of stix2-validator, and whatever stix2 does not parse."""
    found = []
    for made in objects:
        result = validate_instance(json.loads(json.dumps(made)), OPTIONS)
        found += [f"{made['id']}: {error}" for error in (*result.errors, *result.warnings)]
        parsed = stix2.parse(dict(made), version="2.1")
        if parsed.id != made["id"]:
            found.append(f"{made['id']}: stix2 makes {parsed.id} of it")
    return found

"""Custom fields of requests: what a policy declares is asked of them, typed, bounded, sealed, and found by blind index.

A field that is declared an identity becomes one, with the assurance of whoever handed it in, and no more. Values are
personal data: no error repeats one, and they are shown only where they are asked for. Never touches the database.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from habeas.core.errors import BadInput
from habeas.core.identity import Assurance, Identity, check_identity
from habeas.requests.policy_options import CustomField
from habeas.requests.sealing import Seals
from habeas.requests.submission import FIELDS, CustomValue, Submission

PURPOSE = "custom_fields"

_LARGEST = 2**53  # integers beyond it don't survive every JSON reader


def judge(submission: Submission, declared: Mapping[str, Any] | None, assurance: Assurance) -> Submission:
    """The submission with its fields as the policy declares them, identities among its identities.

    Raises BadInput for what is missing, not declared, or of another type. A policy without fields ignores them.
    """
    if not declared:
        if not submission.custom_fields:
            return _identified(submission)
        told = f"{FIELDS}: the policy declares no custom fields; the given ones were ignored"
        return _identified(replace(submission, custom_fields={}, warnings=(*submission.warnings, told)))
    fields = {name: CustomField.model_validate(each) for name, each in declared.items()}
    unknown = sorted(set(submission.custom_fields) - set(fields))
    if unknown:
        raise BadInput("the policy declares no such field", where=f"{FIELDS}.{unknown[0]}", fix=", ".join(fields))
    found: dict[str, CustomValue] = {}
    for name, each in fields.items():
        given = submission.custom_fields.get(name)
        if given is not None:
            found[name] = CustomValue(given.label or each.label, _typed(name, each, given.value))
        elif each.required:
            raise BadInput("is required by the policy", where=f"{FIELDS}.{name}")
    identities = tuple(
        Identity(each.identity, check_identity(each.identity, found[name].value), assurance, found[name].label)
        for name, each in fields.items()
        if each.identity is not None and name in found
    )
    return _identified(replace(submission, custom_fields=found, alternatives=_joined(submission, identities)))


def seal_fields(vault: Seals, request_id: str, fields: Mapping[str, CustomValue]) -> bytes | None:
    """The sealed column of a request's custom fields; None without any."""
    if not fields:
        return None
    plain = {name: {"label": each.label, "value": each.value} for name, each in fields.items()}
    return vault.seal_json(PURPOSE, plain, request_id)


def open_fields(vault: Seals, request_id: str, sealed: bytes | None) -> dict[str, dict[str, Any]]:
    """A request's custom fields by name: `{label, value}`."""
    found: dict[str, dict[str, Any]] = {} if sealed is None else vault.open_json(PURPOSE, sealed, request_id)
    return found


def indexes_of(vault: Seals, fields: Mapping[str, CustomValue], declared: Mapping[str, Any] | None) -> dict[str, bytes]:
    """The search index of each field that the policy wants found, under the kind it is stored as."""
    wanted = [name for name, each in (declared or {}).items() if each.get("search") and name in fields]
    return {f"field:{name}": field_index(vault, name, _text(fields[name].value)) for name in wanted}


def search_index(vault: Seals, wanted: str) -> bytes:
    """The index under which `NAME:VALUE` would be found; raises BadInput for another form."""
    name, colon, value = wanted.partition(":")
    if not (colon and name and value):
        raise BadInput("must be a field's name, a colon and its value", where="custom_field")
    return field_index(vault, name, value)


def field_index(vault: Seals, name: str, text: str) -> bytes:
    """The index of one value; equal for texts that differ in case and surrounding blanks alone."""
    return vault.blind_index(f"field:{name}", text.strip().casefold())


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _typed(name: str, declared: CustomField, value: object) -> str | int | float | bool:
    where = f"{FIELDS}.{name}"
    if declared.type == "boolean":
        if not isinstance(value, bool):
            raise BadInput("must be true or false", where=where)
        return value
    if declared.type in ("integer", "number"):
        return _number(declared.type, value, where)
    if not isinstance(value, str):
        raise BadInput("must be a string", where=where)
    if declared.type == "date":
        _check_date(value, where)
    elif declared.choices is not None and value not in declared.choices:
        raise BadInput("is none of the choices", where=where, fix=", ".join(declared.choices))
    elif len(value) > declared.max_length:
        raise BadInput(f"is longer than {declared.max_length} characters", where=where)
    return value


def _number(kind: str, value: object, where: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"must be {'an integer' if kind == 'integer' else 'a number'}", where=where)
    if kind == "integer" and not isinstance(value, int):
        raise BadInput("must be an integer", where=where)
    if (isinstance(value, int) and abs(value) > _LARGEST) or not math.isfinite(value):
        raise BadInput("is out of range", where=where)
    return value


def _check_date(value: str, where: str) -> None:
    problem = BadInput("must be a date", where=where, fix="write YYYY-MM-DD")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise problem
    try:
        date.fromisoformat(value)
    except ValueError:
        raise problem from None


def _joined(submission: Submission, identities: tuple[Identity, ...]) -> tuple[tuple[Identity, ...], ...]:
    if not identities:
        return submission.alternatives
    first = submission.alternatives[0] if submission.alternatives else ()
    kinds = [each.kind for each in (*first, *identities)]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise BadInput("is given twice, as an identity and as a custom field", where=f"identity.{kind}")
    return ((*first, *identities), *submission.alternatives[1:])


def _identified(submission: Submission) -> Submission:
    if not submission.identities:
        raise BadInput("You must provide at least one identity to process")
    return submission

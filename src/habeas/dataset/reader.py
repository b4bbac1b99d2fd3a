"""From a document to datasets: what each key means and what it may hold. Notes problems, never raises them.

The keys are those of fides and fidesops (`fidesops_meta` is `fides_meta`'s older name) and habeas' own. Keys
that aren't used stay in `Dataset.raw`. References are checked for form here, for existence in `check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, cast

from habeas.core.errors import BadInput
from habeas.core.taxonomy import check_category
from habeas.dataset.model import (
    Collection,
    Dataset,
    Direction,
    Field,
    IdentityMatch,
    Ownership,
    Reference,
    StrategyChoice,
)
from habeas.dataset.node import Node
from habeas.dataset.problem import nearest

META_KEYS = ("fides_meta", "fidesops_meta")
DATA_TYPES = ("string", "integer", "float", "boolean", "object_id", "object")
MAX_NESTING = 20

_KEY = re.compile(r"[A-Za-z0-9_.-]+\Z")
_INSTANCE = "<instance_fides_key>"  # the placeholder of a vendor description
_COMMON = frozenset(
    ("name", "description", "data_categories", "data_qualifier", "retention", "fidesctl_meta", *META_KEYS)
)
_DATASET = _COMMON | {
    "fides_key", "collections", "organization_fides_key", "tags", "meta", "joint_controller", "third_country_transfers",
}  # fmt: skip
_COLLECTION = _COMMON | {"fields"}
_FIELD = _COMMON | {"fields"}
REFERENCE = frozenset(("dataset", "field", "direction", "key", "ownership"))
NAMESPACE = frozenset(
    ("schema", "database_name", "project_id", "dataset_id", "connection_type", "database_instance_id", "database_id")
)
DATASET_META = frozenset(("after", "namespace", "excluded", "resource_id"))
COLLECTION_META = frozenset(
    ("after", "erase_after", "skip_processing", "masking_strategy_override", "partitioning", "person", "excluded")
)
FIELD_META = frozenset(
    (
        "references", "identity", "identity_match", "region", "primary_key", "data_type", "length", "read_only",
        "return_all_elements", "masking_strategy_override", "redact", "custom_request_field",
    )
)  # fmt: skip
_BESIDE = dict.fromkeys(
    ("data_categories", "fields", "collections", "description"), "write it beside fides_meta, not in it"
)
_META_ONLY = {key: "write it under fides_meta" for key in (FIELD_META | COLLECTION_META | {"namespace"}) - {"redact"}}
_TYPE_WORDS = {
    "str": "string", "text": "string", "varchar": "string", "uuid": "string", "date": "string", "datetime": "string",
    "timestamp": "string", "char": "string", "int": "integer", "bigint": "integer", "smallint": "integer",
    "number": "float", "decimal": "float", "numeric": "float", "double": "float", "bool": "boolean",
    "json": "object", "jsonb": "object", "dict": "object", "objectid": "object_id",
}  # fmt: skip
_KIND_WORDS = dict.fromkeys(("mail", "e-mail", "e_mail", "email_address"), "email") | dict.fromkeys(
    ("phone", "telephone", "mobile", "phone-number"), "phone_number"
)


def read_dataset(node: Node) -> Dataset:
    """One dataset. The result counts only if the node's findings hold no error."""
    key = _dataset_key(node)
    node = node.named(key or node.trail or "dataset")
    node.check_keys(_DATASET, _META_ONLY)
    meta = _meta(node)
    meta.check_keys(DATASET_META, _BESIDE)
    schema, database_name = _namespace(meta)
    if node.find("collections")[0] is None:
        node.note("collections are missing", fix="list the collections of the dataset under `collections`")
    collections = tuple(_collection(each) for each in node.nodes("collections"))
    _check_unique(node, "collections", [each.name for each in collections])
    return Dataset(
        fides_key=key or "",
        collections=collections,
        name=node.text("name", free=True),
        description=node.text("description", free=True),
        data_categories=_categories(node),
        after=_dataset_after(meta, key),
        schema=schema,
        database_name=database_name,
        excluded=_excluded(meta),
        raw=node.parts[0][0],
    )


def _meta(node: Node) -> Node:
    """What stands under `fides_meta`, by either of its names; an empty mapping if nothing does."""
    return node.merged(META_KEYS) or Node((({}, node.parts[0][1]),), node.findings, node.address)


def _namespace(meta: Node) -> tuple[str | None, str | None]:
    node = meta.node("namespace")
    if node is None:
        return None, None
    node.check_keys(NAMESPACE, {})
    return node.text("schema"), node.text("database_name")


def parse_data_type(text: str) -> tuple[str, bool]:
    """A data type's name and whether it is a list of them (`string[]`). Raises BadInput naming the nearest."""
    name = text.removesuffix("[]")
    if name in DATA_TYPES:
        return name, name != text
    near = _TYPE_WORDS.get(name.casefold()) or nearest(name, DATA_TYPES)
    raise BadInput(
        f"unknown data type {text!r}",
        fix=f"did you mean {near}{text[len(name) :]}?" if near else f"write one of {', '.join(DATA_TYPES)}",
    )


def _dataset_key(node: Node) -> str | None:
    key = node.text("fides_key", required=True)
    if key and key != _INSTANCE and not _KEY.match(key):
        node.note(f"{key!r} is not a key", "fides_key", fix="use letters, digits, '.', '_' and '-' only")
    return key


def _dataset_after(meta: Node, key: str | None) -> tuple[str, ...]:
    after = meta.texts("after")
    for index, name in after:
        if name == key:
            meta.note("a dataset can't come after itself", "after", index=index)
    return tuple(name for _, name in after)


def _excluded(meta: Node) -> str | None:
    node = meta.node("excluded")
    if node is None:
        return None
    node.check_keys(frozenset(("reason",)), {})
    return node.text("reason", required=True)


def _collection(node: Node) -> Collection:
    dataset = node.address
    name = _name(node)
    node = node.named(f"{dataset}:{name}" if name else f"{dataset} {node.trail}")
    node.check_keys(_COLLECTION, _META_ONLY)
    meta = _meta(node)
    meta.check_keys(COLLECTION_META, _BESIDE)
    fields = _fields(node, prefix="", depth=1)
    if meta.flag("person") and not any(each.identity for each in _leaves(fields)):
        meta.note("person: true says nothing where no field has an identity", "person", severity="warning")
    partitioning = meta.node("partitioning")
    if partitioning:
        message = "partitioning is kept and not used: all partitions are searched, so that no row is missed"
        meta.note(message, "partitioning", severity="warning")
    return Collection(
        name=name or "",
        fields=fields,
        data_categories=_categories(node),
        after=_collection_addresses(meta, "after"),
        erase_after=_collection_addresses(meta, "erase_after"),
        skip_processing=bool(meta.flag("skip_processing")),
        masking_strategy_override=_strategy(meta),
        partitioning=partitioning.parts[0][0] if partitioning else None,
        person=meta.flag("person"),
        excluded=_excluded(meta),
        description=node.text("description", free=True),
    )


def _leaves(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        yield field
        yield from _leaves(field.fields)


def _collection_addresses(meta: Node, key: str) -> tuple[str, ...]:
    found = []
    for index, text in meta.texts(key):
        address = text if ":" in text else text.replace(".", ":")
        if address.count(":") == 1 and not address.startswith(":") and not address.endswith(":"):
            found.append(address)
        else:
            meta.note(f"{text!r} doesn't name a collection", key, index=index, fix="write dataset:collection")
    return tuple(found)


def _name(node: Node) -> str | None:
    """A collection's or field's name. Dots and colons are the separators of addresses, so no name can hold them."""
    name = node.text("name", required=True)
    if name and (bad := next((sign for sign in ".:" if sign in name), None)):
        fix = "list a nested field under its parent's `fields`" if bad == "." else "give the name without the colon"
        node.note(f"the name {name!r} holds a {bad!r}, which separates the parts of an address", "name", fix=fix)
    return name


def _check_unique(node: Node, key: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if name and name in names[:index]:
            node.note(f"{name!r} stands here a second time", key, index=index, fix="keep one of them")


def _fields(node: Node, *, prefix: str, depth: int) -> tuple[Field, ...]:
    if depth > MAX_NESTING:
        node.note(f"fields are nested deeper than {MAX_NESTING} levels", "fields")
        return ()
    if depth == 1 and node.find("fields")[0] is None:
        node.note("fields are missing", fix="list the fields of the collection under `fields`")
    fields = tuple(_field(each, prefix=prefix, depth=depth) for each in node.nodes("fields"))
    _check_unique(node, "fields", [each.name for each in fields])
    return fields


def _field(node: Node, *, prefix: str, depth: int) -> Field:
    parent = node.address
    name = _name(node)
    separator = "." if prefix else ":"
    node = node.named(f"{parent}{separator}{name}" if name else f"{parent} {node.trail}")
    node.check_keys(_FIELD, _META_ONLY)
    meta = _meta(node)
    meta.check_keys(FIELD_META, _BESIDE)
    fields = _fields(node, prefix=f"{prefix}{name}.", depth=depth + 1)
    data_type, is_array = _data_type(meta)
    _check_type(meta, data_type, nested=bool(fields))
    return_all_elements = bool(meta.flag("return_all_elements"))
    if return_all_elements and not is_array:
        meta.note("return_all_elements is for lists", "return_all_elements", fix="give a data_type that ends with []")
    return Field(
        name=name or "",
        data_categories=_categories(node),
        fields=fields,
        references=() if fields else tuple(_reference(each) for each in meta.nodes("references")),
        identity=None if fields else _identity(meta),
        identity_match=cast("IdentityMatch", meta.choice("identity_match", ("canonical", "exact")) or "canonical"),
        region=_region(meta),
        primary_key=not fields and bool(meta.flag("primary_key")),
        data_type=data_type,
        is_array=is_array,
        length=meta.positive("length"),
        return_all_elements=return_all_elements,
        read_only=bool(meta.flag("read_only")),
        masking_strategy_override=_field_strategy(meta),
        description=node.text("description", free=True),
    )


def _data_type(meta: Node) -> tuple[str | None, bool]:
    text = meta.text("data_type")
    if text is None:
        return None, False
    try:
        return parse_data_type(text)
    except BadInput as error:
        meta.note(error.message, "data_type", fix=error.fix)
        return None, False


def _check_object(meta: Node, data_type: str | None) -> None:
    if data_type not in (None, "object"):
        meta.note(
            f"a field with `fields` of its own can't be of type {data_type}",
            "data_type",
            fix="write object or object[], or leave the type out",
        )
    for key in ("references", "identity", "primary_key"):
        if meta.find(key)[0]:
            meta.note(
                f"{key} is not used on a field that has `fields` of its own",
                key,
                fix="write it on one of these",
                severity="warning",
            )


def _check_type(meta: Node, data_type: str | None, *, nested: bool) -> None:
    if nested:
        _check_object(meta, data_type)
    _check_idle(meta, "object" if nested else data_type)


def _check_idle(meta: Node, data_type: str | None) -> None:
    """Keys that do nothing on such a field."""
    if meta.find("region")[0] is not None and meta.find("identity")[0] != "phone_number":
        meta.note("region says nothing without identity: phone_number", "region", severity="warning")
    if meta.find("length")[0] is not None and data_type not in (None, "string", "object_id"):
        meta.note(f"length cuts texts, and says nothing on a field of type {data_type}", "length", severity="warning")


def _identity(meta: Node) -> str | None:
    kind = meta.text("identity")
    if kind is None:
        if meta.find("identity_match")[0] is not None:
            meta.note("identity_match says nothing without identity", "identity_match", severity="warning")
        return None
    near = _KIND_WORDS.get(kind) or nearest(kind, ("email", "phone_number"), _NEAR_KIND)
    if near and near != kind:
        meta.note(
            f"{kind!r} is a kind of identity of its own", "identity", fix=f"did you mean {near}?", severity="warning"
        )
    return kind


_NEAR_KIND = 0.8


def _region(meta: Node) -> str | None:
    region = meta.text("region")
    if region is not None and not re.fullmatch(r"[A-Z]{2}", region):
        meta.note(f"{region!r} is not a region", "region", fix="write a country's two capital letters, such as US")
        return None
    return region


def _reference(node: Node) -> Reference:
    node.check_keys(REFERENCE, {})
    dataset = node.text("dataset", required=True) or ""
    field = node.text("field", required=True) or ""
    if field and (field.count(".") < 1 or "" in field.split(".")):
        node.note(f"{field!r} doesn't name a field", "field", fix="write collection.field")
    direction = node.choice("direction", ("from", "to"))
    ownership = node.choice("ownership", ("auto", "owned", "shared", "context"))
    return Reference(
        dataset=dataset,
        field=field,
        direction=cast("Direction | None", direction),
        key=node.text("key"),
        ownership=cast("Ownership", ownership or "auto"),
    )


def _strategy(meta: Node) -> StrategyChoice | None:
    node = meta.node("masking_strategy_override")
    if node is None:
        return None
    node.check_keys(frozenset(("strategy", "configuration")), {})
    strategy = node.text("strategy", required=True)
    configuration = node.node("configuration")
    given: Mapping[str, object] = configuration.parts[0][0] if configuration else {}
    if strategy == "delete":
        _check_delete(node, configuration)
    return StrategyChoice(strategy=strategy or "", configuration=given)


def _check_delete(node: Node, configuration: Node | None) -> None:
    if configuration:
        configuration.check_keys(frozenset(("on_referenced",)), {})
        configuration.choice("on_referenced", ("mask", "cascade", "null", "refuse"))


def _field_strategy(meta: Node) -> StrategyChoice | None:
    choice = _strategy(meta)
    if choice and choice.strategy == "delete":
        meta.note(
            "delete removes whole rows, a field can only be masked",
            "masking_strategy_override",
            fix="write it on the collection, or choose another strategy",
        )
    return choice


def _categories(node: Node) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for index, text in node.texts("data_categories"):
        severity: Literal["error", "warning"] = "warning"
        try:
            today, message = check_category(text, node.findings.own)
            fix = None
            found[today] = None
        except BadInput as error:
            message, fix, severity = error.message, error.fix, "error"
        if message:
            node.note(message, "data_categories", index=index, fix=fix, severity=severity)
    return tuple(found)

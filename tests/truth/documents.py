"""Documents in a column: three forms of them, what a package shows of one, and what an erasure must leave of one.

flat    {"contact": {"mail": …, "city": …}, "n": …, "other": …}; `other` is in no dataset
thread  {"title": …, "messages": [{"author": a person's key, "text": …}, …]}; a message is found by its author
mails   ["…", …]: addresses by which rows are found

Written from the design's text; imports nothing of habeas.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from truth.company import Column

Problem = Callable[[str, Any, Any], str | None]
"""From a field's path, its value before and after: what is wrong, None if nothing is."""


def authors(document: str | None) -> list[Any]:
    """The authors of a thread's messages."""
    return [] if document is None else [each["author"] for each in json.loads(document)["messages"]]


def addresses(document: str | None) -> list[str]:
    """The addresses of a list of mails."""
    return [] if document is None else [each for each in json.loads(document) if each is not None]


def show(column: Column, text: str | None, paths: set[str], hers: Callable[[Any], bool]) -> Any:
    """What a package shows of a document; `hers` tells of an author, or an address, whether it is the subject's."""
    if text is None:
        return None
    document = json.loads(text)
    if column.document == "mails":
        return [each for each in document if each is not None and hers(each)]
    if column.document == "flat":
        shown = {"n": document["n"]} if "n" in paths else {}
        contact = {name: document["contact"][name] for name in ("mail", "city") if f"contact.{name}" in paths}
        return shown | ({"contact": contact} if contact else {})
    shown = {"title": document["title"]} if "title" in paths else {}
    if "messages.text" in paths:
        wanted = [each for each in document["messages"] if column.whole or hers(each["author"])]
        shown["messages"] = [{"text": each["text"]} for each in wanted]
    return shown


def problems(
    column: Column, before: str, after: str | None, masked: Mapping[str, Problem], hers: Callable[[Any], bool]
) -> Iterator[str]:
    """What is wrong with a document after an erasure. `masked` are the targeted paths with what their masks must be;
    everything else is to be as it was.
    """
    if after is None:
        yield "the document is gone"
        return
    old, new = json.loads(before), json.loads(after)
    if column.document == "mails":
        yield from _list_problems(column, old, new, masked.get(""), hers)
        return
    if set(old) != set(new):
        yield f"has other names: {sorted(new)}"
        return
    for name in old:
        if name == "contact":
            yield from _part_problems(old[name], new[name], "contact.", masked)
        elif name == "messages":
            yield from _message_problems(column, old[name], new[name], masked.get("messages.text"), hers)
        else:
            yield from _part_problems({name: old[name]}, {name: new[name]}, "", masked)


def _part_problems(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str, masked: Mapping[str, Problem]
) -> Iterator[str]:
    for name, value in old.items():
        problem = masked.get(prefix + name)
        found = problem(prefix + name, value, new.get(name)) if problem else _same(value, new.get(name))
        if found:
            yield f"{prefix}{name}: {found}"


def _message_problems(
    column: Column, old: list[Any], new: list[Any], problem: Problem | None, hers: Callable[[Any], bool]
) -> Iterator[str]:
    if len(old) != len(new):
        yield f"has {len(new)} messages instead of {len(old)}"
        return
    for number, (one, two) in enumerate(zip(old, new, strict=True)):
        mine = problem is not None and (column.whole or hers(one["author"]))
        found = problem("messages.text", one["text"], two["text"]) if mine and problem else _same(one, two)
        if found or one["author"] != two["author"]:
            yield f"message {number}, {'hers' if mine else 'not hers'}: {found or 'another author'}"


def _list_problems(
    column: Column, old: list[Any], new: list[Any], problem: Problem | None, hers: Callable[[Any], bool]
) -> Iterator[str]:
    if len(old) != len(new):
        yield f"has {len(new)} elements instead of {len(old)}"
        return
    for number, (one, two) in enumerate(zip(old, new, strict=True)):
        found = problem("", one, two) if problem and one is not None and hers(one) else _same(one, two)
        if found:
            yield f"element {number}: {found}"


def _same(old: Any, new: Any) -> str | None:
    return None if old == new else f"{old!r} became {new!r}"


def part_problem(rule: str, wanted: str | None) -> Problem:
    """How a part must look: texts by the strategy, anything else NULL; NULL stays NULL."""

    def problem(path: str, old: Any, new: Any) -> str | None:
        if old is None or rule == "null_rewrite" or not isinstance(old, str):
            return None if new is None else f"must be null, not {new!r}"
        if wanted is not None:
            return None if new == wanted else f"must be {wanted}, not {new!r}"
        return None if isinstance(new, str) and new != old else f"is {new!r}"

    return problem

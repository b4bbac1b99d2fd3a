"""Logs carry ids, counts and places, and nothing about a person, whatever is thrown at them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from habeas.core.errors import Conflict
from habeas.core.log import configure_logging, get_logger

SECRET = "ada@example.com"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream, as_json=True)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def _last(stream: io.StringIO) -> dict[str, object]:
    line: dict[str, object] = json.loads(stream.getvalue().splitlines()[-1])
    return line


def test_a_stream_that_fails_prints_nothing_past_the_filter(
    lines: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    lines.close()
    try:
        raise Conflict(f"there is {SECRET} already")
    except Conflict:
        get_logger("habeas.test").error("taken")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_known_details_pass_and_unknown_ones_leave_their_name_only(lines: io.StringIO) -> None:
    get_logger("habeas.test").info("rows read", request_id="pri_1", rows=3, email=SECRET)
    line = _last(lines)
    assert (line["request_id"], line["rows"], line["withheld"]) == ("pri_1", 3, ["email"])
    assert SECRET not in lines.getvalue()


def test_query_strings_and_passwords_in_urls_are_cut(lines: io.StringIO) -> None:
    get_logger("habeas.test").info("call", path=f"/api/v1/privacy-request?identity={SECRET}&x=1")
    assert _last(lines)["path"] == "/api/v1/privacy-request"
    get_logger("habeas.test").info("call", where="postgresql://app:hush@db.example.com/x")
    assert "hush" not in lines.getvalue()


def test_foreign_exceptions_show_class_and_place_never_their_text(lines: io.StringIO) -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as cause:
            raise ValueError(SECRET) from cause
    except ValueError:
        get_logger("habeas.test").exception("failed")
    line = _last(lines)
    assert SECRET not in lines.getvalue()
    assert isinstance(line["exception"], list)
    assert line["exception"][0].startswith("ValueError at core/test_log.py:")
    assert line["exception"][1].startswith("KeyError at ")


def test_our_own_errors_keep_their_message(lines: io.StringIO) -> None:
    try:
        raise Conflict("the plan is gone", where="shop:customers")
    except Conflict:
        get_logger("habeas.test").warning("failed", exc_info=True)
    assert "shop:customers: the plan is gone" in lines.getvalue()


def test_records_of_libraries_pass_the_same_filter(lines: io.StringIO) -> None:
    logging.getLogger("some.library").info("chatter")
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        logging.getLogger("some.library").exception("boom at /x?mail=%s", SECRET)
    assert "chatter" not in lines.getvalue()
    assert SECRET not in lines.getvalue()
    assert _last(lines)["logger"] == "some.library"

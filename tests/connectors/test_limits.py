"""What goes wrong ends in an error of ours that names the kind of fault and repeats no value."""

from __future__ import annotations

import threading

import pytest
from pydantic import ValidationError

from connectorbook import Harness, PlanBook, by_email, chunks, harnesses, no_fence, seed
from habeas.connectors.base import Connector
from habeas.connectors.registry import connector_class, connector_classes
from habeas.core.errors import BadInput, SourceDenied, SourceTimeout
from habeas.core.expression import Constant
from habeas.plan.model import Mask

ADA = seed("ada@example.com")
MASK = Mask("email", "r", "string_rewrite", "constant", Constant("MASKED"))


def people(harness: Harness, connector: Connector) -> PlanBook:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))")
    harness.put("people", [(1, "ada@example.com"), (2, "bob@example.com")])
    book = PlanBook(connector, erases=True)
    book.step("people", people=True, seeds=by_email(), masks=(MASK,))
    return book


def test_every_database_kind_has_a_harness() -> None:
    assert {each.kind for each in connector_classes() if each.capabilities.holds_rows} <= set(harnesses())


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(BadInput) as unknown:
        connector_class("postgress")
    assert "sqlite" in str(unknown.value)


def test_kinds_describe_themselves() -> None:
    for each in connector_classes():
        schema = each.secrets_model.model_json_schema()
        assert schema["additionalProperties"] is False
        assert each.label


@pytest.mark.parametrize("secrets", [{}, {"url": "mysql://x"}, {"nonsense": 1}, {"url": ""}])
def test_bad_secrets_are_refused(harness: Harness, secrets: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        connector_class(harness.kind).secrets_model.model_validate(secrets)


def test_check_says_that_all_is_well(connector: Connector) -> None:
    result = connector.check()
    assert result.ok
    assert result.temp_tables
    assert result.version[0].isdigit()


def test_check_says_what_is_wrong(harness: Harness) -> None:
    for code, secrets in harness.wrong_secrets().items():
        kind = connector_class(harness.kind)
        made = kind(kind.secrets_model.model_validate(secrets))
        result = made.check()
        assert (result.ok, result.code) == (False, code)
        assert "nobody" not in result.message
        made.close()


def test_read_only_credentials_read_and_are_told_by_introspection(harness: Harness, connector: Connector) -> None:
    book = people(harness, connector)
    kind = connector_class(harness.kind)
    reading = kind(kind.secrets_model.model_validate(harness.read_only_secrets()))
    assert reading.check().ok
    book = PlanBook(reading, erases=True)  # what an account may do is part of the schema that a plan is made for
    book.step("people", people=True, seeds=by_email(), masks=(MASK,))
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    with reading.writer("habeas/test/1", no_fence) as writer:
        assert writer.verify(book.steps[0], chunk, b"0123456789abcdef0123456789abcdef").untouched == [0]
    reading.close()
    if harness.grants:
        (table,) = reading.introspect().tables
        assert (table.writable, table.deletable) == (False, False)
        with pytest.raises(SourceDenied), reading.writer("habeas/test/1", no_fence) as writer:
            writer.mask(book.steps[0], chunk)
    reading.close()


def test_a_slow_statement_ends_in_a_timeout(harness: Harness) -> None:
    slow = harness.connector(read_timeout_seconds=0.3)
    with pytest.raises(SourceTimeout), slow._session("read", "habeas/test/1") as session:  # type: ignore[attr-defined] # of the sql family
        session.fetch(harness.slow_query)
    slow.close()


def test_a_locked_table_ends_in_a_timeout_and_later_works(harness: Harness, connector: Connector) -> None:
    book = people(harness, connector)
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    hasty = harness.connector(lock_timeout_seconds=0.3)
    with hasty.writer("habeas/test/1", no_fence) as writer:
        with harness.locked("people"), pytest.raises(SourceTimeout):
            writer.mask(book.steps[0], chunk)
        assert writer.mask(book.steps[0], chunk) == 1
    hasty.close()


def test_close_twice(harness: Harness) -> None:
    made = harness.connector()
    assert made.check().ok
    made.close()
    made.close()


def test_identity_is_the_systems_and_holds_no_secret(harness: Harness) -> None:
    one, two = harness.connector(), harness.connector()
    assert one.identity() == two.identity()
    assert one.identity().startswith(harness.identity)
    assert "@" not in one.identity()


def test_statements_name_parameters_and_no_values(harness: Harness, connector: Connector) -> None:
    book = people(harness, connector)
    plan = book.plan()
    statements = connector.statements(plan, plan.segments[0])
    assert [each.purpose for each in statements] == ["seed", "freeze", "mask", "verify"]
    assert all(each.address == "store:people" for each in statements)
    assert "MASKED" not in "".join(each.text for each in statements)


def test_readers_and_writers_work_side_by_side(harness: Harness, connector: Connector) -> None:
    book = people(harness, connector)
    found: list[set[int]] = []

    def read() -> None:
        for _ in range(5):
            with book.found(ADA) as reader:
                found.append(book.own(reader, 0))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{1}] * 20


def test_older_sessions_are_ended_or_awaited(harness: Harness, connector: Connector) -> None:
    book = people(harness, connector)
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    with connector.writer("habeas/cohort/1", no_fence) as writer:
        writer.mask(book.steps[0], chunk)
    connector.end_sessions("habeas/cohort/", "habeas/cohort/2")
    with connector.writer("habeas/cohort/2", no_fence) as writer:
        connector.end_sessions("habeas/cohort/", "habeas/cohort/2")
        assert writer.mask(book.steps[0], chunk) == 1


def test_a_file_that_is_missing_is_not_made(tmp_path: object) -> None:
    kind = connector_class("sqlite")
    made = kind(kind.secrets_model.model_validate({"url": f"sqlite:///{tmp_path}/absent.db"}))
    assert made.check().code == "unreachable"
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined] # pytest's folder

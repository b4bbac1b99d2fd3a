"""The conformance suite of connectors, case by case: which tests say it. Each runs once for each kind there is.

A new kind is one file in `habeas/connectors/kinds` (or an entry point in the group `habeas.connectors` of another
package), and a `Harness` beside those in `tests/connectorbook.py` (or an entry point, named as the kind, in the group
`habeas.connector_harnesses`). Run `pytest tests/connectors -k KIND`. What a kind can't do it declares in its harness's
`excused`, with the reason; such a test must fail. A kind without a harness fails every test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

CASES: Mapping[str, str] = {
    # what is read
    "types": "test_common_types",
    "types of keys": "test_keys_of_any_type",
    "NULL is read as NULL": "test_odd_texts_are_read_as_they_are",
    "NULL stays NULL": "test_null_stays_null",
    "NULL and empty differ": "test_digests_depend_on_their_key_and_tell_null_from_text",
    "nested values": "test_rows_are_found_by_elements_and_show_only_these",
    "nested values lead on": "test_only_her_elements_are_followed",
    "nested values are led to": "test_rows_lead_into_documents",
    "nested names": "test_any_name_inside_a_document_is_a_name",
    "empty": "test_nothing_found_is_nothing",
    "unicode": "test_odd_texts_are_read_as_they_are",
    "reserved names": "test_a_reserved_word_is_a_name",
    "any name": "test_any_name_is_quoted",
    "tuple keys": "test_tuple_keys_match_as_tuples",
    "tuple keys are written": "test_composite_keys",
    "no key": "test_a_table_without_a_key_is_read_by_row",
    "views": "test_a_view_without_a_key_is_read_and_followed",
    "text against number": "test_text_against_number_compares_as_text",
    "zero is a key": "test_zero_is_a_key_like_others",
    "cycles": "test_cycles_equal_a_naive_fixpoint",
    "one moment": "test_a_snapshot_reads_one_moment",
    "100,000 rows": "test_a_hundred_thousand_rows_stream_by_member_and_key",
    "flat memory": "test_memory_stays_flat",
    "50,000 keys": "test_fifty_thousand_keys_come_from_elsewhere",
    "10,000 members": "test_ten_thousand_members_are_sought_at_once",
    "injection": "test_odd_identities_find_what_equals_them_and_nothing_else",
    "counts": "test_odd_texts_are_read_as_they_are",
    "ownership": "test_a_parent_is_the_subjects_if_only_hers_point_to_it",
    "canonical addresses": "test_email_matches_canonically",
    # what is written
    "mask, then read again": "test_odd_texts_are_masked_and_read_again",
    "exactly the frozen rows": "test_constants_are_written_to_exactly_the_frozen_rows",
    "written twice": "test_values_that_depend_on_the_row_are_frozen_and_written_again_unchanged",
    "pushed masks": "test_pushed_masks_equal_pythons",
    "constants of each type": "test_constants_take_the_columns_type",
    "deletes": "test_deletes_only_what_is_still_as_frozen",
    "verify": "test_verify_tells_gone_and_changed_rows",
    "guards": "test_guards_hold_back_what_others_point_to",
    "100,000 rows in chunks": "test_a_hundred_thousand_rows_in_chunks",
    "constraints": "test_a_constraint_that_refuses_leaves_nothing_half_done",
    "the fence": "test_a_lost_fence_writes_nothing",
    # what goes wrong
    "read-only credentials": "test_read_only_credentials_read_and_are_told_by_introspection",
    "wrong credentials": "test_check_says_what_is_wrong",
    "timeout": "test_a_slow_statement_ends_in_a_timeout",
    "locks": "test_a_locked_table_ends_in_a_timeout_and_later_works",
    "lost link": "test_a_lost_link_ends_in_an_error_and_the_next_use_works",
    "cancel": "test_a_canceled_statement_ends_in_an_error",
    "older attempts": "test_older_sessions_are_ended_or_awaited",
    "close twice": "test_close_twice",
    "temp tables forbidden: access": "test_rows_are_found_and_read",
    "temp tables forbidden: erasure": "test_rows_are_masked_and_verified",
    "temp tables forbidden: deletes": "test_rows_are_deleted_as_they_were_frozen",
    "drift": "test_a_drifted_schema_is_named_and_not_read",
    "secrets": "test_bad_secrets_are_refused",
    "threads": "test_readers_and_writers_work_side_by_side",
}

_FIXTURES = frozenset({"harness", "connector"})


def missing_tests(named: Iterable[str] = tuple(CASES.values())) -> list[str]:
    """Names among these of which no test of `tests/connectors` runs for each kind."""
    found: dict[str, set[str]] = {}
    fixtures = set(_FIXTURES)
    functions = [
        each
        for path in sorted((Path(__file__).parent / "connectors").glob("test_*.py"))
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.FunctionDef)
    ]
    for each in functions:
        asked = {argument.arg for argument in each.args.args}
        if each.name.startswith("test_"):
            found[each.name] = asked
        elif asked & _FIXTURES and each.decorator_list:
            fixtures.add(each.name)
    return sorted(name for name in set(named) if not found.get(name, set()) & fixtures)

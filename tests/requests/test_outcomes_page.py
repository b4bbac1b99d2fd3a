"""docs/reference/outcomes.md describes every status, stage, outcome, reason and cause that the code can give.

Each is reached by a test that is named here, or by a fixture of plans.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import habeas
from habeas.plan.kept import KEPT_BY_STANDING
from habeas.requests.model import FINAL, Outcome, Reason, Stage, Status

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "outcomes.md").read_text(encoding="utf-8")
SOURCE = Path(habeas.__file__).parent


def described(section: str) -> list[str]:
    """The words that a section's table explains, from its first column, in order."""
    (text,) = re.findall(rf"^##+ {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`.*?) \|(.*)\|$", text, re.MULTILINE)
    assert all(cell.strip() for _, rest in rows for cell in rest.split("|")), section
    return [word for first, _ in rows for word in re.findall(r"`([a-z_]+)`", first)]


@pytest.mark.parametrize(
    ("section", "words"), [("Statuses", Status), ("Stages", Stage), ("Outcomes of complete requests", Outcome)]
)
def test_every_word_of_the_model_is_described(section: str, words: type[Status | Stage | Outcome]) -> None:
    assert sorted(described(section)) == sorted(words)


def test_every_reason_is_described() -> None:
    assert [each for each in described("Reasons") if each in set(Reason)] == list(Reason)


def test_final_statuses_are_named() -> None:
    (final,) = re.findall(r"^(.*) are final\.$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", final)) == FINAL


def test_every_kept_reason_is_described() -> None:
    assert {*KEPT_BY_STANDING.values(), "key_kept", "referenced", "excluded", "preserved"} == set(described("Kept"))


def causes(path: Path) -> Iterator[str]:
    """The causes that a module gives to refusals, and the words of faults that become refusals."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        given = [each.value for each in node.keywords if each.arg == "cause"]
        if node.func.id == "Fault":
            given.append(node.args[2])
        yield from (each.value for each in given if isinstance(each, ast.Constant))


def test_every_cause_of_a_refusal_is_described() -> None:
    parts = ("plan", "requests", "execute", "connectors")
    used = {cause for part in parts for path in (SOURCE / part).rglob("*.py") for cause in causes(path)}
    used |= {"disabled", "unreached"}  # why a collection isn't searched is also why an erasure is refused
    used |= {"policy_missing"}
    used -= {"no_schema"}  # of drafts, not of requests
    told = described("Codes of refused")
    assert used - set(told) == set()
    assert told == sorted(told)


def test_every_way_of_not_being_searched_is_described() -> None:
    given = set(re.findall(r'return "([a-z_]+)", ', (SOURCE / "plan" / "passes.py").read_text(encoding="utf-8")))
    given |= {"row_security"}  # told where the schema is read
    assert given == set(described("Not searched"))


# Codes of errors that answer a call, or move no request: only what runs a cohort can become a reason.
NO_REASON = {
    "api_problem", "bad_configuration", "bad_syntax", "code_expired", "conflict", "deadline", "events_gone", "fenced",
    "forbidden",
    "members_left", "no_address", "no_email_config", "no_secrets", "not_offered", "not_possible",
    "not_paused", "not_waiting_for_code", "pending", "receipt_refused", "refused", "saas_not_offered",
    "selection_changed",
    "sign_in_locked",
    "sign_in_refused", "too_many_calls", "too_many_codes", "too_many_streams", "too_slow",
    "unauthorised", "unknown_strategy", "verification_off",
    "webhook_misconfigured", "webhook_not_possible", "wrong_code",
}  # fmt: skip


def codes_of_errors() -> set[str]:
    """The codes that the classes of errors in the source give themselves; `internal` is the root's."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'^    code(?:: ClassVar\[str\])? = "([a-z_]+)"$', text, re.MULTILINE))
    return found


def test_every_code_of_an_error_is_described() -> None:
    """A new class of error is named on the page, or above as one that no request ends with."""
    told = described("Codes of errors")
    assert told == sorted(told)
    assert codes_of_errors() - NO_REASON == set(told)
    assert codes_of_errors() >= NO_REASON


def test_stages_within_others_are_never_recorded() -> None:
    tables = {SOURCE / "requests" / "model.py", SOURCE / "requests" / "moves.py"}
    for path in set(SOURCE.rglob("*.py")) - tables:
        used = set(re.findall(r"\bStage\.([A-Z_]+)", path.read_text(encoding="utf-8")))
        assert not {each.lower() for each in used} & WITHIN, path


# The test that reaches a word; codes of refused plans are reached by fixtures, which are looked through below.
REACHED = {
    "identity_unverified": "tests/ownership/test_identities.py::test_what_the_public_claims_waits_for_verification",
    "pending": "tests/ownership/test_identities.py::test_what_the_public_claims_waits_for_verification",
    "approved": "tests/requests/test_review.py::test_approving_queues_and_is_audited",
    "in_processing": "tests/requests/test_dispatch.py::test_what_waits_becomes_one_cohort_in_order",
    "requires_input": "tests/e2e/test_bad_input.py::test_an_identity_that_is_absent_asks_before_it_erases",
    "paused": "tests/manualbook.py::paused",
    "complete": "tests/e2e/test_job.py::test_access_and_erasure_from_hand_in_to_receipt",
    "denied": "tests/requests/test_review.py::test_denying_ends_what_hasnt_begun",
    "canceled": "tests/requests/test_review.py::test_a_running_request_is_canceled_before_masking_only",
    "error": "tests/e2e/test_retry.py::test_what_a_trigger_refused_is_finished_after_the_fix",
    "verify_identity": "tests/ownership/test_identities.py::test_what_the_public_claims_waits_for_verification",
    "approve": "tests/e2e/test_processes.py::test_where_approval_is_asked_nothing_starts_without",
    "queued": "tests/requests/test_intake.py::test_a_request_is_stored_sealed_and_queued",
    "elements": "tests/evidence/test_replay.py::test_documents_of_which_elements_were_erased_need_the_person_again",
    "identities_disagree": "tests/contract/test_disagreement.py"
    "::test_a_number_that_is_somebody_elses_too_waits_and_can_be_dropped",
    "manual": "tests/contract/test_manual_webhooks.py::test_an_access_waits_for_answers_and_shows_them",
    "pre_webhooks": "tests/e2e/test_webhooks.py::test_a_halted_request_is_paused_and_resumed_with_what_was_derived",
    "post_webhooks": "tests/e2e/test_webhooks.py"
    "::test_one_that_is_not_told_after_keeps_its_work_and_a_retry_only_tells",
    "webhook": "tests/e2e/test_webhooks.py::test_one_that_is_not_told_after_keeps_its_work_and_a_retry_only_tells",
    "access": "tests/requests/test_stages_shown.py::test_the_stage_of_a_request_whose_worker_stands_still",
    "freeze": "tests/requests/test_search.py::test_a_running_request_shows_its_cohorts_stage",
    "mask": "tests/drift/test_drift.py::half",
    "receipt": "tests/contract/test_instructions.py::test_a_processor_is_told_and_confirms_by_the_link",
    "done": "tests/e2e/test_job.py::test_access_and_erasure_from_hand_in_to_receipt",
    "delivered": "tests/e2e/test_outcomes.py::test_erased_and_nothing_found_and_delivered",
    "erased": "tests/e2e/test_outcomes.py::test_erased_and_nothing_found_and_delivered",
    "erased_with_kept": "tests/e2e/test_outcomes.py::test_context_is_kept",
    "nothing_found": "tests/e2e/test_outcomes.py::test_erased_and_nothing_found_and_delivered",
    "refused": "tests/e2e/test_outcomes.py::test_what_an_access_can_not_reach_is_named_and_an_erasure_is_refused",
    "incomplete": "tests/e2e/test_outcomes.py::test_what_somebody_goes_on_writing_is_incomplete",
    "delivery": "tests/e2e/test_bad_input.py::test_a_destination_that_can_not_be_written",
    "not_searched": "tests/requests/test_plans.py::test_an_erasure_with_a_kind_absent_asks_before_it_writes",
    "shared_row": "tests/e2e/test_outcomes.py::test_a_row_that_is_also_anothers_is_kept",
    "context": "tests/e2e/test_outcomes.py::test_context_is_kept",
    "person": "tests/e2e/test_outcomes.py::test_somebody_else_is_kept",
    "excluded": "tests/e2e/test_outcomes.py::test_what_is_excluded_is_named",
    "key_kept": "tests/e2e/test_outcomes.py::test_a_key_that_joins_rows_is_kept",
    "referenced": "tests/constraints/test_deletes.py::test_a_row_that_another_holds_is_masked_instead",
    "preserved": "tests/e2e/test_outcomes.py::test_what_is_preserved_is_kept",
    "identity_absent": "tests/ownership/test_identities.py"
    "::test_a_collection_whose_kind_was_not_given_is_named_and_an_erasure_asks",
    "disabled": "tests/e2e/test_bad_input.py::test_a_read_only_connection_and_a_disabled_one",
    "unreached": "tests/e2e/test_outcomes.py::test_what_an_access_can_not_reach_is_named_and_an_erasure_is_refused",
    "no_messenger": "tests/contract/test_instructions.py"
    "::test_an_erasure_that_can_not_be_told_is_refused_or_asks_first",
    "policy_missing": "tests/requests/test_dispatch.py::test_a_policy_that_is_gone_ends_its_requests_as_refused",
    "other_database": "tests/dataset/test_keys.py::test_namespace",
    "temp_tables": "tests/connectors/test_inline.py::test_too_many_rows_are_refused_with_what_to_grant",
    "row_security": "tests/constraints/test_surroundings.py::test_rows_that_security_may_hide_are_not_erased_in_part",
    "versioned": "tests/constraints/test_surroundings.py::test_history_would_keep_the_values",
    "duplicate": "tests/requests/test_duplicates.py::test_a_repetition_waits_linked_to_the_first",
    "plan_changed": "tests/requests/test_approval.py::test_a_plan_that_changed_goes_back_to_a_person",
    "drift": "tests/drift/test_drift.py::test_a_schema_that_keeps_changing_is_refused",
}
# Stages that no request shows, since they pass within the one before; kills in them stand in tests/e2e/test_crash.py.
WITHIN = {"intake", "deliver", "verify"}
# Of parts that aren't built yet. Whoever writes the test moves its word up and names it.
TO_COME: set[str] = set()
SECTIONS = (
    "Statuses",
    "Stages",
    "Outcomes of complete requests",
    "Reasons",
    "Kept",
    "Codes of refused",
    "Not searched",
)


def refused_by_fixtures() -> set[str]:
    fixtures = (ROOT / "tests" / "plan" / "fixtures").glob("*.txt")
    return {code for path in fixtures for code in re.findall(r"^refused \((\w+)\)", path.read_text(), re.MULTILINE)}


def test_every_word_is_reached() -> None:
    words = {word for section in SECTIONS for word in described(section)} | set(Status) | set(Stage) | set(Outcome)
    assert words - set(REACHED) - WITHIN - refused_by_fixtures() == TO_COME


@pytest.mark.parametrize("word", REACHED)
def test_the_test_that_reaches_a_word_speaks_of_it(word: str) -> None:
    path, _, name = REACHED[word].partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    (body,) = re.findall(rf"^def {name}\(.*?(?=^def |^class |^@|\Z)", text, re.MULTILINE | re.DOTALL)
    assert f'"{word}"' in body, (word, name)

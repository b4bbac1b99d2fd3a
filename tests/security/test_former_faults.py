"""The security faults of fidesops, each with the test that shows it isn't here.

`FAULTS` names every one by the section of fidesops' description where it stands, with its test: here, or where the
part it is about is tested. A name that is no test fails.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from apibook import ROOT_SECRET, Api, open_api

TESTS = Path(__file__).parents[1]

FAULTS = (
    (
        "1.1",
        "intake needs no authentication",
        "api/test_access.py::test_public_intake_exists_with_verification_on_only",
    ),
    ("1.1", "a caller forges times", "api/test_privacy_requests.py::test_forged_fields_are_ignored_with_a_warning"),
    (
        "1.1",
        "answers show policies",
        "contract/test_verification.py::test_the_public_learns_nothing_of_policies_and_sets_no_times",
    ),
    (
        "1.4",
        "a code works again",
        "security/test_verification.py::test_a_code_is_for_one_request_one_address_and_one_time",
    ),
    (
        "2.2",
        "another policy's rule is changed",
        "api/test_policies.py::test_a_rule_is_reached_through_its_own_policy_only",
    ),
    ("3.4", "YAML isn't checked like JSON", "api/test_datasets.py::test_yaml_is_checked_like_json"),
    (
        "4.4",
        "arrays of others are shown",
        "nested/test_identities.py::test_a_row_found_by_another_field_shows_no_others_contacts",
    ),
    ("4.8", "names become SQL", "connectors/test_links.py::test_any_name_is_quoted"),
    (
        "5.2",
        "URLs reach inner addresses",
        "security/test_egress.py::test_an_address_inside_is_refused_written_or_resolved",
    ),
    ("5.8", "a hanging service holds a worker", "security/test_egress.py::test_an_answer_costs_so_much_and_no_more"),
    ("6.4", "masking as an oracle for anybody", "security/test_former_faults.py::test_masking_is_for_who_may"),
    ("7", "a cell is a formula", "deliver/test_package.py::test_formulas_are_guarded_in_cells_and_headers"),
    ("7", "packages lie open on disk", "security/test_former_faults.py::test_files_of_ours_are_for_us_alone"),
    ("10.1", "asking for less gives all", "api/test_oauth.py::test_a_token_may_ask_for_less"),
    ("10.1", "a client makes a mightier one", "api/test_oauth.py::test_scopes_only_narrow"),
    ("10.1", "tokens live for days", "security/test_former_faults.py::test_tokens_live_an_hour_and_end_when_told"),
    ("10.1", "a broken token is a 500", "security/test_former_faults.py::test_a_broken_token_is_401"),
    ("10.1", "secrets are guessed without end", "api/test_oauth.py::test_failed_calls_are_limited"),
    ("10.3", "logins tell who exists", "security/test_sign_in.py::test_cve_2024_45052_no_enumeration_by_answer"),
    ("10.3", "no lockout", "security/test_sign_in.py::test_cve_2025_57815_guessing_locks_the_account_for_a_while"),
    (
        "10.3",
        "root's secret is kept and compared in clear",
        "security/test_former_faults.py::test_the_root_secret_is_kept_as_a_digest",
    ),
    (
        "11.3",
        "codes are predictable",
        "security/test_advisories.py::test_cve_2023_48224_codes_come_from_no_predictable_source",
    ),
    (
        "11.3",
        "codes are guessed without end",
        "security/test_verification.py::test_guessing_over_many_requests_ends_at_the_address",
    ),
    (
        "11.3",
        "codes lie in clear",
        "requests/test_verification.py::test_a_code_is_kept_as_a_digest_and_its_message_sealed",
    ),
    (
        "11.4",
        "a consent code opens another's",
        "contract/test_consent.py::test_one_person_never_sees_or_changes_anothers",
    ),
    ("12.1", "one key, never changed", "store/test_secrets.py::test_rotation_opens_the_old_and_seals_with_the_new"),
    (
        "12.1",
        "one salt for all installations",
        "store/test_secrets.py::test_blind_indexes_and_keys_differ_by_kind_purpose_and_app_key",
    ),
    ("12.1", "the identities lie in clear", "requests/test_intake.py::test_a_request_is_stored_sealed_and_queued"),
    ("12.1", "values are in logs and errors", "e2e/test_leaks.py::test_nothing_of_a_person_is_left_anywhere_else"),
    (
        "12.2",
        "credentials for other origins",
        "security/test_limits.py::test_pages_of_named_origins_may_call_and_no_others",
    ),
    ("12.2", "no limit of size", "api/test_edge.py::test_a_body_that_is_too_large"),
    ("12.2", "no security headers", "security/test_former_faults.py::test_every_kind_of_answer_has_the_headers"),
    (
        "12.2",
        "no limit of rates",
        "contract/test_verification.py::test_calls_of_one_address_are_limited_whatever_stands_further_left",
    ),
    (
        "12.3",
        "exceptions go to the log whole",
        "core/test_log.py::test_foreign_exceptions_show_class_and_place_never_their_text",
    ),
    ("12.3", "queries go to the log", "core/test_log.py::test_query_strings_and_passwords_in_urls_are_cut"),
    ("12.4", "pickles are read", "security/test_advisories.py::test_cve_2023_41319_nothing_uploaded_is_executed"),
    (
        "12.5",
        "the configuration shows the inside",
        "security/test_advisories.py::test_cve_2023_46125_the_configuration_is_the_owners_and_shows_nothing_inner",
    ),
    (
        "16",
        "somebody is told of each call",
        "security/test_advisories.py::test_cve_2023_46124_no_client_but_ours_calls_outside",
    ),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    yield from open_api(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("named", sorted({test for _, _, test in FAULTS}))
def test_every_fault_has_its_test(named: str) -> None:
    file, _, name = named.partition("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_masking_is_for_who_may(api: Api) -> None:
    body = {"values": ["x"], "masking_strategy": {"strategy": "hash", "configuration": {}}}
    for token, status in ((None, 401), (api.token_with("policy:read"), 403), (api.token_with("masking:exec"), 200)):
        assert api.call("PUT", "/masking/mask", token=token, json=body).status_code == status


def test_files_of_ours_are_for_us_alone(api: Api) -> None:
    """Whatever the umask: the data directory, and in it what can't be read without its key anyway."""
    data_dir = api.installation.settings.data_dir
    assert data_dir.stat().st_mode & 0o077 == 0
    keys = [each for each in data_dir.rglob("*") if each.is_file() and "key" in str(each.relative_to(data_dir))]
    assert keys
    assert [str(each) for each in keys if each.stat().st_mode & 0o077] == []


def test_tokens_live_an_hour_and_end_when_told(api: Api) -> None:
    client, secret = api.client_with("policy:read")
    form = {"client_id": client, "client_secret": secret}
    told = api.ok("POST", "/oauth/token", token=None, data=form)
    assert told["expires_in"] == 3600
    assert api.call("GET", "/policy", token=told["access_token"]).status_code == 200
    api.call("POST", "/oauth/revoke", token=told["access_token"], data={"token": told["access_token"]})
    assert api.call("GET", "/policy", token=told["access_token"]).status_code == 401


@pytest.mark.parametrize(
    "token", ["a.b.c", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30.", "é", "\x01", "x" * 8000, "{}", ".."]
)
def test_a_broken_token_is_401(api: Api, token: str) -> None:
    headers = [(b"authorization", b"Bearer " + token.encode())]
    answer = api.runner.run(api.http.request("GET", "/api/v1/policy", headers=headers))
    assert answer.status_code == 401


def test_the_root_secret_is_kept_as_a_digest(api: Api) -> None:
    raw = b"".join(each.read_bytes() for each in api.installation.settings.data_dir.rglob("*") if each.is_file())
    assert raw
    assert ROOT_SECRET.encode() not in raw


def test_every_kind_of_answer_has_the_headers(api: Api) -> None:
    calls = (
        ("GET", "/policy", 200, {}),
        ("GET", "/policy", 401, {"token": None}),
        ("GET", "/nowhere", 404, {}),
        ("DELETE", "/policy", 405, {}),
        ("PATCH", "/policy", 400, {"content": b"{"}),
        ("PATCH", "/policy", 413, {"content": b"[" + b" " * (8 * 1024 * 1024) + b"]"}),
        ("PATCH", "/policy", 415, {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
        ("PATCH", "/policy", 422, {"json": {}}),
        ("GET", "/docs", 200, {"token": None}),
    )
    for method, path, status, arguments in calls:
        answer = api.call(method, path, **arguments)  # type: ignore[arg-type]
        assert answer.status_code == status, (method, path, answer.text)
        told = {name: answer.headers.get(name) for name in ("x-content-type-options", "x-frame-options")}
        assert told == {"x-content-type-options": "nosniff", "x-frame-options": "DENY"}, json.dumps(told)
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "set-cookie" not in answer.headers  # sessions are tokens in a header: there is no cookie to steal

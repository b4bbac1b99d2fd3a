"""Taking requests in: `POST /privacy-request`. What is in `succeeded` is durable when the call returns.

A call is one transaction: three statements of ours however many items, two more under an idempotency key.
An item's own fault never stops another. Never runs anything: it wakes the dispatcher.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from habeas.core.deadline import Regimes, load_regimes
from habeas.core.errors import BadHeader, BadInput, Conflict, Unauthorised
from habeas.core.identity import Assurance
from habeas.requests.answer import SHOWN, TIMES, Policies, item_of, policies_of
from habeas.requests.bulk import MAX_ITEMS, Bulk, Failure
from habeas.requests.clients import PUBLIC, Actor
from habeas.requests.custom_fields import indexes_of, judge, open_fields, seal_fields
from habeas.requests.duplicates import Asking, find_first, proven_of, waiting_values, window_of
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import FINAL, Status
from habeas.requests.proofs import Proofs
from habeas.requests.sealing import (
    ANSWER,
    identity_index,
    open_alternatives,
    open_package_key,
    seal_identities,
    seal_package_key,
    seal_seeds,
)
from habeas.requests.submission import CustomValue, Submission, read_submission
from habeas.requests.verification import after_intake, kinds_of
from habeas.store import audit
from habeas.store import requests as store
from habeas.store.session import new_ids

MOST_PUBLIC_ITEMS = 5  # each sends a message to an address that nobody vouches for
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def submit(
    installation: Installation,
    items: Sequence[Any],
    *,
    actor: Actor,
    idempotency_key: str | None = None,
) -> Bulk:
    """Take in up to 50 requests; the answer has one entry an item, in order.

    An actor that is `PUBLIC` is public intake: its identities are claims, and it is refused (Unauthorised)
    unless verification is on; see `verification`. With an idempotency key the same items get the same answer again,
    other items BadInput. Raises BadInput for more than 50 items (of the public: 5); Unavailable if nothing could be
    stored.
    """
    intake = _Intake(installation, actor)
    if len(items) > intake.most:
        raise BadInput(f"more than {intake.most} items", where="body", fix=f"send {intake.most} at a time")
    if intake.public and idempotency_key is not None:
        raise BadHeader("is for clients with a token", where="Idempotency-Key", fix="leave it out")
    checked = [intake.check(item) for item in items]
    if idempotency_key is None:
        with installation.database.begin() as connection:
            bulk = intake.store(connection, checked, items)
    else:
        bulk = _submit_once(intake, checked, items, idempotency_key)
    if bulk.succeeded:
        installation.wake()
    return bulk


def resubmit(installation: Installation, request_id: str, *, actor: Actor) -> dict[str, Any]:
    """Hand in an ended request again: a new one, linked to it, under its policy as it is now. The proof of the person
    goes with it; whether it is a duplicate isn't asked, since somebody decided.

    Raises NotFound, Conflict where it hasn't ended, was purged or never proven; BadInput where the policy is gone.
    """
    intake = _Intake(installation, actor)
    with installation.database.begin() as connection:
        old = found_request(connection, request_id)
        _check_repeatable(old)
        found = store.find_policies(connection, keys=[old["policy_key"]])
        by_key = {row["key"]: row for row in found}
        problem = _policy_problem(old["policy_key"], by_key, intake.regimes)
        if problem is not None:
            raise problem
        (row,) = intake.repeated(connection, old, by_key)
        audit.append(
            connection,
            installation.clock,
            actor.client_id,
            "privacy_request.resubmitted",
            row["id"],
            {"resubmits": request_id},
        )
    installation.wake()
    return item_of(row, policies_of(found), intake.now.date())


def _check_repeatable(old: Mapping[str, Any]) -> None:
    proven = old["identity_verified_at"] is not None or (old["client_id"] is not None and not old["must_verify"])
    if Status(old["status"]) not in FINAL:
        raise Conflict(f"can't be resubmitted: it is {old['status']}", where=old["id"], fix="retry or cancel it")
    if old["purged_at"] is not None:
        raise Conflict("was purged: its identities are gone", where=old["id"], fix="submit a new request")
    if not proven:
        raise Conflict("its identity was never verified", where=old["id"], fix="have it submitted again")


class _Intake:
    """One call: who asks, when, and what becomes of the items."""

    def __init__(self, installation: Installation, actor: Actor) -> None:
        self.installation = installation
        self.client_id = actor.client_id
        self.now = installation.clock.now()
        self.public = actor == PUBLIC
        self.most = MOST_PUBLIC_ITEMS if self.public else MAX_ITEMS
        if self.public and not installation.settings.subject_identity_verification_required:
            raise Unauthorised("no token was given", fix="send Authorization: Bearer <token>")
        self.regimes = load_regimes(installation.settings.regimes_file)
        self.assurance = Assurance.CLAIMED if self.public else Assurance.VOUCHED

    def check(self, item: object) -> Submission | BadInput:
        """The item as a submission, or what is wrong with it."""
        try:
            if self.public and isinstance(item, Mapping):  # only a client may say when somebody asked
                item = {name: value for name, value in item.items() if name != "requested_at"}
            return read_submission(item, self.assurance, self.now)
        except BadInput as problem:
            return problem

    def store(self, connection: Connection, checked: Sequence[Submission | BadInput], items: Sequence[Any]) -> Bulk:
        """Write what is right, in the caller's transaction, and answer for every item."""
        keys = {each.policy_key for each in checked if isinstance(each, Submission)}
        found = store.find_policies(connection, keys=keys) if keys else []
        by_key = {row["key"]: row for row in found}
        proofs = Proofs(connection, self.installation, public=self.public)
        bulk, taken = Bulk(), []
        for each, item in zip(checked, items, strict=True):
            judged = self._judged(each, by_key, proofs)
            if isinstance(judged, BadInput):
                bulk.failed.append(Failure(str(judged), item if isinstance(item, dict) else {}))
            else:
                taken.append(judged)
        if taken:
            bulk.succeeded = self._insert(connection, taken, by_key, policies_of(found), proofs)
        return bulk

    def _judged(
        self, submission: Submission | BadInput, by_key: Mapping[str, Mapping[str, Any]], proofs: Proofs
    ) -> Submission | BadInput:
        """The submission as its policy takes it, or what is wrong with it."""
        if isinstance(submission, BadInput):
            return submission
        problem = _policy_problem(submission.policy_key, by_key, self.regimes)
        if problem is not None:
            return problem
        try:
            known = judge(submission, by_key[submission.policy_key]["custom_fields"], self.assurance)
        except BadInput as fault:
            return fault
        return proofs.problem(known, by_key) or known

    def _insert(
        self,
        connection: Connection,
        taken: Sequence[Submission],
        by_key: Mapping[str, Mapping[str, Any]],
        policies: Policies,
        proofs: Proofs,
    ) -> list[dict[str, Any]]:
        rows, today = self.rows(taken, by_key, proofs), self.now.date()
        self._hold_duplicates(connection, rows, taken, by_key, policies)
        indexes = [
            index
            for row, each in zip(rows, taken, strict=True)
            for index in self.indexes(row["id"], each, by_key[each.policy_key]["custom_fields"])
        ]
        store.insert_requests(connection, rows, indexes)
        proofs.send(zip(rows, taken, strict=True), policies)
        return [item_of(row, {} if self.public else policies, today) for row in rows]

    def repeated(
        self, connection: Connection, old: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Store a request anew; its row."""
        vault = self.installation.vault
        fields = open_fields(vault, old["id"], old["sealed_custom_fields"])
        submission = Submission(
            policy_key=old["policy_key"],
            requested_at=self.now,
            alternatives=open_alternatives(vault, old["id"], old["sealed_identities"]),
            external_id=old["external_id"],
            encryption_key=open_package_key(vault, old["id"], old["sealed_encryption_key"]),
            custom_fields={name: CustomValue(each["label"], each["value"]) for name, each in fields.items()},
        )
        proofs = Proofs(connection, self.installation, public=False)
        policy = by_key[old["policy_key"]]
        if proofs.needed(policy) and old["identity_verified_at"] is None:
            raise Conflict("its policy asks for a code", where=old["id"], fix="submit it anew")
        rows = self.rows([submission], by_key, proofs)
        asked = self.installation.settings.require_manual_request_approval or policy["approvals"] is not None
        status, stage = after_intake(asked)
        again = {"status": status, "stage": stage, "resubmits": old["id"]}
        rows[0] |= again | {"identity_verified_at": old["identity_verified_at"]}
        store.insert_requests(connection, rows, self.indexes(rows[0]["id"], submission, policy["custom_fields"]))
        return rows

    def _hold_duplicates(
        self,
        connection: Connection,
        rows: Sequence[dict[str, Any]],
        taken: Sequence[Submission],
        by_key: Mapping[str, Mapping[str, Any]],
        policies: Policies,
    ) -> None:
        """Have duplicates wait. Those that need a code are looked at when it is answered."""
        asking = []
        for row, each in zip(rows, taken, strict=True):
            actions = [rule["action_type"] for rule in policies[row["policy_id"]]["rules"]]
            window = window_of(self.installation.settings, by_key[each.policy_key], actions)
            if window is not None and row["status"] != Status.IDENTITY_UNVERIFIED:
                proven = proven_of(self.installation, each.identities)
                asking.append(Asking(row["id"], row["policy_id"], window, proven))
        firsts = find_first(connection, asking, self.now) if asking else {}
        for row in rows:
            if row["id"] in firsts:
                row.update(waiting_values(firsts[row["id"]]))

    def rows(
        self, taken: Sequence[Submission], policies: Mapping[str, Mapping[str, Any]], proofs: Proofs
    ) -> list[dict[str, Any]]:
        """The new requests' rows, every column that has a value or is shown. Sealed and numbered in one go."""
        vault, ids = self.installation.vault, new_ids("pri", len(taken))
        identities = seal_identities(vault, [(new, each.alternatives) for new, each in zip(ids, taken, strict=True)])
        beginnings = [proofs.beginning(policies[each.policy_key]) for each in taken]
        sealed = zip(ids, beginnings, identities, seal_seeds(vault, ids), strict=True)
        return [self._row(each, policies[each.policy_key], *parts) for each, parts in zip(taken, sealed, strict=True)]

    def _row(
        self,
        submission: Submission,
        policy: Mapping[str, Any],
        request_id: str,
        beginning: Mapping[str, Any],
        identities: bytes,
        seed: bytes,
    ) -> dict[str, Any]:
        vault, package_key = self.installation.vault, submission.encryption_key
        return _ABSENT | {
            "id": request_id,
            "created_at": self.now,
            "updated_at": self.now,
            "external_id": submission.external_id,
            "requested_at": submission.requested_at,
            "policy_id": policy["id"],
            "policy_key": policy["key"],
            "client_id": self.client_id or None,
            **beginning,
            "warnings": list(submission.warnings) or None,
            **kinds_of(submission.identities),
            "sealed_identities": identities,
            "sealed_encryption_key": seal_package_key(vault, request_id, package_key) if package_key else None,
            "sealed_seed": seed,
            "sealed_custom_fields": seal_fields(vault, request_id, submission.custom_fields),
            "due_date": _due(self.regimes, submission.requested_at, policy),
            "regime": policy["regime"],
            "attempt": 0,
        }

    def indexes(
        self, request_id: str, submission: Submission, fields: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        """The search rows of a request: each identity once, and the custom fields that are to be found."""
        vault, region = self.installation.vault, self.installation.settings.phone_region
        found = {(each.kind, identity_index(vault, each.kind, each.value, region)) for each in submission.identities}
        found |= set(indexes_of(vault, submission.custom_fields, fields).items())
        return [{"privacy_request_id": request_id, "kind": kind, "blind_index": index} for kind, index in sorted(found)]


# A new row says of each column that is shown whether it has it, so that it can be shown without being read back.
_ABSENT: dict[str, Any] = dict.fromkeys((*SHOWN, "package"))


def _policy_problem(key: str, policies: Mapping[str, Mapping[str, Any]], regimes: Regimes) -> BadInput | None:
    policy = policies.get(key)
    if policy is None:
        return BadInput(f"Policy with key {key} does not exist")
    if policy["rule_id"] is None:
        return BadInput(f"Policy with key {key} has no rules", fix="give it a rule with a target first")
    if policy["regime"] is not None and policy["regime"] not in regimes.by_key:
        return BadInput(
            f"Policy with key {key} has a regime that is gone", fix="name another, or see HABEAS_REGIMES_FILE"
        )
    return None


def _due(regimes: Regimes, requested_at: datetime, policy: Mapping[str, Any]) -> datetime | None:
    """By the policy's regime or its days; None without either, or later than there are dates."""
    regime, days = policy["regime"], policy["execution_timeframe"]
    try:
        if regime is not None:
            return regimes.due(regime, requested_at)
        return None if days is None else requested_at + timedelta(days=days)
    except OverflowError:
        return None


def _submit_once(intake: _Intake, checked: Sequence[Submission | BadInput], items: Sequence[Any], key: str) -> Bulk:
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadHeader("must be up to 255 visible ASCII characters", where="Idempotency-Key")
    digest = _digest(intake.installation, items)
    try:
        with intake.installation.database.begin() as connection:
            known = _known_answer(intake, connection, key, digest)
            if known is not None:
                return known
            bulk = intake.store(connection, checked, items)
            store.insert_answer(connection, _answer_row(intake, key, digest, bulk))
            return bulk
    except Conflict:
        # Two calls with one key at once: the other one's commit was first, so its answer is ours too.
        with intake.installation.database.read() as connection:
            known = _known_answer(intake, connection, key, digest)
        if known is None:
            raise
        return known


def _known_answer(intake: _Intake, connection: Connection, key: str, digest: str) -> Bulk | None:
    row = store.find_answer(connection, intake.client_id, key)
    if row is None:
        return None
    if not hmac.compare_digest(row["body_digest"], digest):
        raise BadHeader("was used before with another body", where="Idempotency-Key", fix="use a new key")
    plain = intake.installation.vault.open(ANSWER, row["sealed_answer"], _context(intake.client_id, key))
    return _read_answer(json.loads(plain))


def _answer_row(intake: _Intake, key: str, digest: str, bulk: Bulk) -> dict[str, Any]:
    plain = json.dumps(asdict(bulk), default=datetime.isoformat).encode()
    return {
        "client_id": intake.client_id,
        "key": key,
        "body_digest": digest,
        "request_ids": [item["id"] for item in bulk.succeeded],
        "sealed_answer": intake.installation.vault.seal(ANSWER, plain, _context(intake.client_id, key)),
        "created_at": intake.now,
    }


def _read_answer(stored: Mapping[str, Any]) -> Bulk:
    return Bulk(
        succeeded=[
            {
                name: datetime.fromisoformat(value) if name in TIMES and value is not None else value
                for name, value in item.items()
            }
            for item in stored["succeeded"]
        ],
        failed=[Failure(each["message"], each["data"]) for each in stored["failed"]],
        warnings=stored["warnings"],
    )


def _context(client_id: str, key: str) -> str:
    return f"{client_id}/{key}"


def _digest(installation: Installation, items: Sequence[Any]) -> str:
    # Keyed: the body holds identities, whose plain digest could be guessed.
    body = json.dumps(list(items), sort_keys=True).encode()
    return hmac.new(installation.vault.key(ANSWER), body, "sha256").hexdigest()

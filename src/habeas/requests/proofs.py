"""What intake needs to know and do about proofs: which items wait for a code, whether one can be sent, sending it.

One value a call of intake. It asks our database whether messages can be sent only where that matters, so that an
authorised client's intake costs no statement more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from habeas.core.errors import BadInput, HabeasError
from habeas.requests.codes import send_code
from habeas.requests.installation import Installation
from habeas.requests.messages import open_messenger
from habeas.requests.model import Stage, Status
from habeas.requests.notices import known_address, put_receipt
from habeas.requests.submission import Submission
from habeas.requests.verification import NAME, address_to_verify, after_intake

Policies = Mapping[str, Mapping[str, Any]]


class Proofs:
    """The proofs that the items of one call need; `public`: nobody vouches for any."""

    def __init__(self, connection: Connection, installation: Installation, *, public: bool) -> None:
        self._connection = connection
        self._installation = installation
        self._public = public
        self._unsendable: BadInput | None = None
        self._asked = False

    def needed(self, policy: Mapping[str, Any]) -> bool:
        """Whether a request of this policy waits for a code."""
        return self._public or policy["verify"] == "always"

    def problem(self, submission: Submission | BadInput, by_key: Policies) -> BadInput | None:
        """Why an item that needs a code can't have one."""
        if isinstance(submission, BadInput) or not self.needed(by_key[submission.policy_key]):
            return None
        try:
            address_to_verify(submission.alternatives)
        except BadInput as problem:
            return problem
        return self._sending_problem()

    def beginning(self, policy: Mapping[str, Any]) -> dict[str, Any]:
        """The columns that say where a request of this policy begins."""
        if self.needed(policy):
            waiting = {"status": Status.IDENTITY_UNVERIFIED, "stage": Stage.VERIFY_IDENTITY}
            return waiting | {"must_verify": True}
        status, stage = after_intake(
            self._installation.settings.require_manual_request_approval or policy["approvals"] is not None
        )
        return {"status": status, "stage": stage, "must_verify": None}

    def send(self, stored: Iterable[tuple[Mapping[str, Any], Submission]], policies: Policies) -> None:
        """Put the messages about new requests into the outbox, in the transaction that stored them."""
        for row, submission in stored:
            if row["must_verify"]:
                address = address_to_verify(submission.alternatives)
                send_code(self._connection, self._installation, row["id"], address, NAME)
            elif self._installation.settings.send_request_receipt_notification:
                known = known_address(submission.identities)
                actions = [rule["action_type"] for rule in policies[row["policy_id"]]["rules"]]
                put_receipt(self._connection, self._installation, row["id"], known, actions)

    def _sending_problem(self) -> BadInput | None:
        if not self._asked:
            self._asked = True
            try:
                open_messenger(self._installation, self._connection)
            except HabeasError as problem:
                fix = None if self._public else str(problem)  # the public isn't told what is configured
                self._unsendable = BadInput("Verification email could not be sent.", fix=fix)
        return self._unsendable

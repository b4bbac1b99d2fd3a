"""Erasures by processors who are told by e-mail: what they are told, how they confirm, and what waits until then."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from flowbook import Flow, flowing
from habeas.store.tables import event, instruction
from hookbook import receiving
from mailbook import Mailbox, mail_server, settings_for

from .conftest import DATASET, make_people

TO = "erasures@processor.example.org"


@dataclass
class House:
    """A flow with its mailbox and store."""

    flow: Flow
    box: Mailbox
    shop: Path

    def letter(self, request_id: str, number: int = 1) -> EmailMessage:
        """The letter of that number about a request; those of others may come late."""
        for count in range(1, 100):
            letters = [each for each in self.box.await_letters(TO, count) if request_id in each.get_content()]
            if len(letters) >= number:
                return letters[number - 1]
        raise AssertionError("no such letter")

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        return self.flow.api.http.request(method, path, **arguments)

    def erase(self, email: str = "ada@example.com", **more: str) -> str:
        (request_id,) = self.flow.api.submit("erase", {"email": email, **more})
        return request_id


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    make_people(folder / "shop.db")
    with mail_server() as box:
        settings = settings_for(box, public_url="https://privacy.example.org/", trusted_proxies="127.0.0.0/8")
        settings["egress_allow"] = "127.0.0.0/8"
        with flowing(folder / "data", send_request_completion_notification=True, **settings) as flow:
            flow.api.connect("shop", "sqlite", {"url": f"sqlite:///{folder / 'shop.db'}"})
            flow.api.describe("shop", DATASET)
            flow.api.access_policy("copy", ["user"])
            flow.api.erasure_policy("erase", ["user.contact.phone_number"])
            yield House(flow, box, folder / "shop.db")


@pytest.fixture
def house(running: House) -> Iterator[House]:
    running.box.letters.clear()
    running.box.envelopes.clear()
    connect(running)
    yield running
    running.call("DELETE", "/api/v1/connection/printer")


def connect(house: House, **secrets: Any) -> None:
    item = {"name": "printer", "key": "printer", "connection_type": "email", "access": "write"}
    house.flow.api.patch_all("/connection", [item])
    given = {"to_email": TO, "instructions": "Customer number range 7."} | secrets
    told = house.flow.api.call("PUT", "/connection/printer/secret", given)
    assert told["test_status"] == "succeeded", told


def link_in(letter: EmailMessage) -> str:
    (link,) = re.findall(r"https://\S+", letter.get_content())
    assert link.startswith("https://privacy.example.org/privacy/confirm/")
    return urlsplit(link).path


def instructions(house: House, request_id: str) -> dict[str, Any]:
    (told,) = house.flow.api.call("GET", f"/privacy-request/{request_id}/erasure_instruction")
    assert isinstance(told, dict)
    return told


def test_a_processor_is_told_and_confirms_by_the_link(house: House) -> None:
    request_id = house.erase(phone_number="+1 202 555 0199")
    item = house.flow.api.wait(request_id)
    assert (item["status"], item["stage"], item["reason"]) == ("requires_input", "receipt", "manual")
    assert item["outcome"] is None
    assert item["finished_processing_at"] is None
    with closing(sqlite3.connect(house.shop)) as shop:  # what habeas can erase is erased
        assert shop.execute("SELECT phone FROM person WHERE id = 1").fetchone() == (None,)
    letter = house.letter(request_id)
    assert letter["Subject"] == "Please erase personal data"
    text = letter.get_content()
    assert "email: ada@example.com" in text
    assert "Customer number range 7." in text
    assert "555" not in text  # only the kinds that the connection names
    path = link_in(letter)
    bare = {"Authorization": ""}
    for method, button in (("GET", True), ("GET", True), ("POST", False), ("POST", False), ("GET", False)):
        page = house.call(method, path, headers=bare)
        assert (page.status_code, "<button>" in page.text) == (200, button)
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert "ada@example.com" not in page.text
        if method == "GET" and button:
            assert house.flow.api.show(request_id)["status"] == "requires_input"
    item = house.flow.api.show(request_id)
    assert (item["status"], item["stage"], item["outcome"]) == ("complete", "done", "erased")
    assert (item["reason"], item["reason_detail"]) == (None, None)
    told = instructions(house, request_id)
    assert (told["state"], told["ended_by"], told["message"], told["sent"]) == ("confirmed", "processor", "sent", 1)
    entries = house.flow.api.call("GET", "/audit-trail", subject=request_id, action="erasure_instruction.")["items"]
    assert [each["detail"] for each in entries] == [{"connection": "printer"}]
    receipt = house.flow.api.call("GET", f"/privacy-request/{request_id}/receipt")["receipt"]
    assert receipt["instructed"] == ["printer"]
    assert house.box.await_letters("ada@example.com")[0]["Subject"] == "Your data has been deleted"


def test_what_waits_for_a_processor_is_not_undone_or_begun_again(house: House) -> None:
    request_id = house.erase("cyd@example.com")
    house.flow.api.wait(request_id)
    path = f"/api/v1/privacy-request/{request_id}"
    for action in ("retry", "resume_from_requires_input", "cancel"):
        assert house.call("POST", f"{path}/{action}").status_code in (400, 409), action
    told = house.flow.api.call("PATCH", "/privacy-request/administrate/deny", {"request_ids": [request_id]})
    assert told["succeeded"] == []
    assert house.flow.api.show(request_id)["stage"] == "receipt"
    assert not house.box.to("cyd@example.com")  # nothing says that it is complete
    house.flow.api.call("POST", f"/privacy-request/{request_id}/erasure_instruction/printer/confirm")
    assert house.flow.api.show(request_id)["status"] == "complete"
    assert instructions(house, request_id)["ended_by"] not in (None, "processor")


def test_webhooks_after_are_told_once_the_processor_has_confirmed(house: House) -> None:
    api = house.flow.api
    with receiving() as receiver:
        api.patch_all("/connection", [{"name": "crm", "key": "crm", "connection_type": "https", "access": "read"}])
        secrets = {"url": receiver.url(), "authorization": "Bearer of-crm"}
        api.call("PUT", "/connection/crm/secret", secrets, verify=False)
        hook = {"key": "crm", "name": "crm", "connection_config_key": "crm", "direction": "one_way"}
        api.call("PUT", "/policy/erase/webhook/post_execution", [hook])
        request_id = house.erase("nobody@example.com")
        assert api.wait(request_id)["stage"] == "receipt"
        assert house.call("GET", "/api/v1/webhook/delivery").json()["total"] == 0
        receiver.answer = "drip"
        assert house.call("POST", link_in(house.letter(request_id))).status_code == 200
        receiver.await_calls(1)
        item = api.show(request_id)
        assert (item["status"], item["stage"], item["reason"]) == ("in_processing", "post_webhooks", None)
        assert (item["outcome"], item["finished_processing_at"]) == (None, None)
        assert "complete" not in told_of(house, request_id)
        receiver.answer = {}
        receiver.released.set()
        item = api.wait(request_id)
        assert (item["status"], item["stage"], item["outcome"]) == ("complete", "done", "erased")
        assert told_of(house, request_id)[-2:] == ["needs_person", "complete"]
        assert {each.body["privacy_request_id"] for each in receiver.calls} == {request_id}
        api.call("PUT", "/policy/erase/webhook/post_execution", [])
    api.call("DELETE", "/connection/crm")


def told_of(house: House, request_id: str) -> list[str]:
    """The kinds of events of a request so far, in order."""
    with house.flow.installation.database.read() as own:
        kinds = sa.select(event.c.type).where(event.c.privacy_request_id == request_id).order_by(event.c.id)
        return [each.removeprefix("privacy_request.") for each in own.execute(kinds).scalars()]


def test_another_message_voids_the_former_link(house: House) -> None:
    request_id = house.erase("nobody@example.com")
    house.flow.api.wait(request_id)
    first = link_in(house.letter(request_id))
    house.flow.api.call("POST", f"/privacy-request/{request_id}/erasure_instruction/printer/resend")
    second = link_in(house.letter(request_id, 2))
    assert house.call("POST", first).status_code == 404
    assert house.flow.api.show(request_id)["status"] == "requires_input"
    assert house.call("POST", second).status_code == 200
    assert house.flow.api.show(request_id)["outcome"] == "erased"  # by the processor; habeas had found nothing
    assert instructions(house, request_id)["sent"] == 2


def test_a_link_that_is_too_old_or_unknown(house: House) -> None:
    request_id = house.erase("nobody@example.com")
    house.flow.api.wait(request_id)
    path = link_in(house.letter(request_id))
    with house.flow.installation.database.begin() as own:
        own.execute(sa.update(instruction).values(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))
    for method in ("GET", "POST"):
        assert house.call(method, path).status_code == 410
        assert house.call(method, f"{path}x").status_code == 404
    assert house.flow.api.show(request_id)["status"] == "requires_input"


def test_a_processor_who_does_not_answer_is_given_up_and_told_anew(house: House) -> None:
    request_id = house.erase("nobody@example.com")
    house.flow.api.wait(request_id)
    path = f"/privacy-request/{request_id}/erasure_instruction/printer"
    house.flow.api.call("POST", f"{path}/give_up")
    item = house.flow.api.show(request_id)
    assert (item["status"], item["reason"], item["reason_detail"]["address"]) == ("error", "delivery", "printer")
    for action in ("resend", "confirm", "give_up"):
        assert house.call("POST", f"/api/v1{path}/{action}").status_code == 400
    assert house.call("POST", link_in(house.letter(request_id))).status_code == 404
    house.flow.api.call("POST", f"/privacy-request/{request_id}/retry")
    while house.flow.api.wait(request_id)["status"] != "requires_input":
        pass
    assert house.call("POST", link_in(house.letter(request_id, 2))).status_code == 200
    assert house.flow.api.show(request_id)["status"] == "complete"


def test_who_confirmed_is_not_told_again(house: House) -> None:
    item = {"name": "binder", "key": "binder", "connection_type": "email", "access": "write"}
    house.flow.api.patch_all("/connection", [item])
    house.flow.api.call("PUT", "/connection/binder/secret", {"to_email": "binder@processor.example.org"})
    request_id = house.erase("nobody@example.com")
    house.flow.api.wait(request_id)
    house.flow.api.call("POST", f"/privacy-request/{request_id}/erasure_instruction/binder/confirm")
    assert house.flow.api.show(request_id)["status"] == "requires_input"
    house.flow.api.call("POST", f"/privacy-request/{request_id}/erasure_instruction/printer/give_up")
    house.flow.api.call("POST", f"/privacy-request/{request_id}/retry")
    while house.flow.api.wait(request_id)["status"] != "requires_input":
        pass
    house.letter(request_id, 2)
    assert len(house.box.to("binder@processor.example.org")) == 1
    house.flow.api.call("DELETE", "/connection/binder")


def test_an_erasure_that_can_not_be_told_is_refused_or_asks_first(house: House) -> None:
    house.flow.api.call("PUT", "/connection/printer/secret", {"to_email": TO, "identities": ["customer_no"]})
    item = house.flow.api.wait(house.erase("bob@example.com"))
    assert (item["status"], item["reason"], item["stage"]) == ("requires_input", "not_searched", "queued")
    assert [each["address"] for each in item["not_searched"]] == ["printer"]
    house.flow.api.call("DELETE", "/connection/printer")
    item = {"name": "printer", "key": "printer", "connection_type": "email", "access": "write"}
    house.flow.api.patch_all("/connection", [item])  # without saying where instructions go
    item = house.flow.api.wait(house.erase("bob@example.com"))
    assert (item["status"], item["reason"]) == ("error", "refused")
    assert item["reason_detail"]["code"] == "no_messenger"
    with closing(sqlite3.connect(house.shop)) as shop:
        assert shop.execute("SELECT phone FROM person WHERE id = 2").fetchone() == ("(202) 555-0101",)


def test_an_access_and_a_read_only_processor_tell_nobody(house: House) -> None:
    assert house.flow.api.run("copy", {"email": "bob@example.com"})["status"] == "complete"
    item = {"name": "printer", "key": "printer", "connection_type": "email", "access": "read"}
    house.flow.api.patch_all("/connection", [item])
    assert house.flow.api.run("erase", {"email": "nobody@example.com"})["status"] == "complete"
    assert not house.box.to(TO)


@pytest.mark.parametrize(
    "change",
    [
        {"to_email": "two@example.org, other@example.org"},
        {"to_email": "none"},
        {"identities": []},
        {"identities": ["e mail"]},
        {"instructions": "a\x00b"},
        {"cc": "x@example.org"},
    ],
)
def test_settings_that_are_refused(house: House, change: dict[str, Any]) -> None:
    answer = house.call("PUT", "/api/v1/connection/printer/secret", json={"to_email": TO} | change)
    assert answer.status_code == 422
    assert "other@example.org" not in answer.text


def test_the_test_of_a_connection_sends_to_its_test_address(house: House) -> None:
    connect(house, test_email="test@processor.example.org")
    assert len(house.box.to("test@processor.example.org")) == 1
    connect(house, test_email="test@processor.example.org", instructions="Others.")
    house.box.refusing = True
    told = house.flow.api.call("GET", "/connection/printer/test")
    house.box.refusing = False
    assert told["test_status"] == "failed"


def test_unknown_things_are_not_found(house: House) -> None:
    request_id = house.erase("nobody@example.com")
    house.flow.api.wait(request_id)
    for path in ("pri_unknown/erasure_instruction/printer", f"{request_id}/erasure_instruction/nowhere"):
        for action in ("resend", "confirm", "give_up"):
            assert house.call("POST", f"/api/v1/privacy-request/{path}/{action}").status_code == 404
    assert house.call("GET", "/api/v1/privacy-request/pri_unknown/erasure_instruction").status_code == 404

"""The e-mail configuration and messages over the API, as documented: the way through, and each named error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbook import Flow, opened
from habeas.cli.main import run
from habeas.requests.messages import put_message
from habeas.requests.sending import Sender
from mailbook import PASSWORD, SENDER, USER, certificate, mail_server, settings_for

SMTP: dict[str, Any] = {
    "name": "Our mail",
    "key": "our_mail",
    "service_type": "smtp",
    "details": {"host": "127.0.0.1", "port": 587, "from_email": SENDER, "tls": True},
}
MAILGUN: dict[str, Any] = {
    "name": "Mailgun",
    "service_type": "mailgun",
    "details": {"domain": "mg.example.org", "is_eu_domain": True},
}


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    with opened(tmp_path / "data") as bare:
        yield bare


def status(flow: Flow, method: str, path: str, body: Any = None) -> int:
    return flow.api.http.request(method, f"/api/v1{path}", json=body).status_code


def test_a_configuration_from_its_making_to_its_end(flow: Flow) -> None:
    api = flow.api
    made = api.call("POST", "/email/config", SMTP)
    assert {name: made[name] for name in SMTP} == SMTP
    assert made["id"].startswith("ema_")
    refused = api.http.request("POST", "/api/v1/email/config", json=SMTP | {"key": "second", "name": "Second"})
    assert refused.status_code == 400
    assert "Only one email config" in refused.json()["detail"]
    told = api.call("PUT", "/email/config/our_mail/secret", {"username": USER, "password": PASSWORD})
    assert told == {
        "msg": "Secrets updated for EmailConfig with key: our_mail.",
        "test_status": None,
        "failure_reason": None,
    }
    shown = api.call("GET", "/email/config")
    assert (shown["total"], shown["page"], shown["size"]) == (1, 1, 50)
    assert PASSWORD not in str(shown)
    assert api.call("GET", "/email/config/our_mail") == shown["items"][0]
    changed = api.call("PATCH", "/email/config/our_mail", SMTP | {"name": "Renamed"})
    assert (changed["name"], changed["key"]) == ("Renamed", "our_mail")
    assert status(flow, "DELETE", "/email/config/our_mail") == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("PUT", "/secret")):
        body = SMTP if method == "PATCH" else {} if method == "PUT" else None
        assert status(flow, method, f"/email/config/our_mail{path}", body) == 404


def test_the_key_comes_from_the_name(flow: Flow) -> None:
    given = {name: value for name, value in SMTP.items() if name != "key"}
    assert flow.api.call("POST", "/email/config", given)["key"] == "our_mail"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"service_type": "pigeon"}, "service_type"),
        ({"details": {}}, "host"),
        ({"details": SMTP["details"] | {"port": 70000}}, "port"),
        ({"details": SMTP["details"] | {"password": "hush"}}, "password"),
        ({"details": {"host": "mail.example.org", "from_email": "nobody"}}, "from_email"),
        ({"unknown": 1}, "unknown"),
        ({"name": ""}, "name"),
        ({"key": "a key"}, "key"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(flow: Flow, change: dict[str, Any], field: str) -> None:
    answer = flow.api.http.request("POST", "/api/v1/email/config", json=SMTP | change)
    assert answer.status_code == 422
    assert field in answer.text
    assert "hush" not in answer.text
    assert flow.api.call("GET", "/email/config")["total"] == 0


def test_secrets_are_checked(flow: Flow) -> None:
    flow.api.call("POST", "/email/config", SMTP)
    answer = flow.api.http.request("PUT", "/api/v1/email/config/our_mail/secret", json={"mailgun_api_key": "hush"})
    assert answer.status_code == 422
    assert "hush" not in answer.text


def test_mailguns_shape_is_taken_and_sending_by_it_refused_by_name(flow: Flow) -> None:
    api = flow.api
    made = api.call("POST", "/email/config", MAILGUN)
    assert made["details"] == MAILGUN["details"]
    api.call("PUT", f"/email/config/{made['key']}/secret", {"mailgun_api_key": "a key"})
    assert api.call("GET", "/id-verification/config")["valid_email_config_exists"] is False
    answer = api.http.request("POST", "/api/v1/email/test", json={"to": "ada@example.com"})
    assert answer.status_code == 422
    assert "mailgun isn't offered yet" in answer.text


def test_a_test_message_goes_out_by_the_stored_configuration(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = flow.api
    assert status(flow, "POST", "/email/test", {"to": "ada@example.com"}) == 422  # nothing is configured
    context, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with mail_server(tls=context, auth=True) as box:
        api.call("POST", "/email/config", SMTP | {"details": SMTP["details"] | {"port": box.port}})
        assert api.call("POST", "/email/test", {"to": "ada@example.com"})["test_status"] == "failed"  # no login yet
        api.call("PUT", "/email/config/our_mail/secret", {"username": USER, "password": PASSWORD})
        assert api.call("POST", "/email/test", {"to": "ada@example.com"})["test_status"] == "succeeded"
        assert box.secure == [True]
        assert status(flow, "POST", "/email/test", {"to": "ada@example.com, bob@example.com"}) == 422
    told = api.call("POST", "/email/test", {"to": "ada@example.com"})
    assert told["test_status"] == "failed"
    assert "ada" not in told["failure_reason"]


def test_messages_are_listed_and_failed_ones_tried_again(tmp_path: Path) -> None:
    with mail_server() as box, opened(tmp_path / "data", **settings_for(box)) as flow:
        api, here = flow.api, flow.installation
        with here.database.begin() as connection:
            for name in ("ada", "gone"):
                address = f"{name}@example.com"
                put_message(connection, here, "request_approved", f"pri_{name}", address, {"request_id": "pri_1"})
        sender = Sender(here, "one")
        assert [sender.send_one(), sender.send_one()] == [True, True]
        listed = api.call("GET", "/email/message")
        assert [(each["subject"], each["state"], each["error"]) for each in listed["items"]] == [
            ("pri_gone", "failed", "rejected"),
            ("pri_ada", "sent", None),
        ]
        assert "example.com" not in str(listed)
        assert api.call("GET", "/email/message", state="failed")["total"] == 1
        assert api.call("GET", "/email/message", subject="pri_ada")["total"] == 1
        assert status(flow, "GET", "/email/message?state=lost") == 422
        failed = listed["items"][0]["id"]
        assert status(flow, "POST", f"/email/message/{failed}/retry") == 204
        assert status(flow, "POST", f"/email/message/{failed}/retry") == 404
        assert api.call("GET", "/email/message", state="waiting")["total"] == 1


def test_the_command_line_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mail_server() as box:
        for name, value in settings_for(box, data_dir=tmp_path / "data").items():
            monkeypatch.setenv(f"HABEAS_{name.upper()}", str(value))
        assert run(["message", "test", "ada@example.com"]) == 0
        assert run(["message", "test", "gone@example.com"]) == 1
        assert run(["message", "list"]) == 0
        assert run(["message", "retry", "7"]) == 1
        assert len(box.letters) == 1
    told = capsys.readouterr()
    assert "sent" in told.out
    assert "There are no such messages." in told.out
    assert "no failed message" in told.err


def test_the_doctor_says_when_codes_can_not_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HABEAS_SUBJECT_IDENTITY_VERIFICATION_REQUIRED", "true")
    assert run(["doctor", "--json"]) == 1
    assert "no message can be sent" in capsys.readouterr().out
    with mail_server() as box:
        for name, value in settings_for(box).items():
            monkeypatch.setenv(f"HABEAS_{name.upper()}", str(value))
        run(["doctor", "--json"])
    assert "no message can be sent" not in capsys.readouterr().out

"""Sending by SMTP against a real mail server: what arrives, TLS, logins, and what each refusal means."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from habeas.core.errors import BadInput
from habeas.deliver.messages.base import Message, MessageFailed, check_recipient
from habeas.deliver.messages.registry import open_vendor, vendor_class
from habeas.deliver.messages.wording import PLACEHOLDERS, languages, write
from mailbook import PASSWORD, SENDER, USER, Mailbox, certificate, mail_server
from serving import free_port

MESSAGE = Message("ada@example.com", "Your one-time code", "Your code is 123456 – viel Glück\n", "reference1")


def open_smtp(box: Mailbox, secrets: dict[str, str] | None = None, **more: Any) -> Any:
    details = {"host": "127.0.0.1", "port": box.port, "from_email": f"Privacy <{SENDER}>", "tls": False} | more
    return open_vendor("smtp", details, secrets)


def test_a_message_arrives_as_it_was_written() -> None:
    with mail_server() as box:
        open_smtp(box).send(MESSAGE)
    (letter,) = box.letters
    assert box.envelopes == [(SENDER, ["ada@example.com"])]
    assert letter["From"] == f"Privacy <{SENDER}>"
    assert (letter["To"], letter["Subject"]) == ("ada@example.com", "Your one-time code")
    assert letter["Message-ID"] == "<reference1@example.org>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content().splitlines() == MESSAGE.text.splitlines()


def test_starttls_and_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, authority = certificate(tmp_path)
    secrets = {"username": USER, "password": PASSWORD}
    with mail_server(tls=context, auth=True) as box:
        with pytest.raises(MessageFailed) as unknown:
            open_smtp(box, secrets, tls=True).send(MESSAGE)
        assert (unknown.value.cause, unknown.value.passing) == ("tls", True)  # nobody vouches for the certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        open_smtp(box, secrets, tls=True).send(MESSAGE)
        assert box.secure == [True]
        with pytest.raises(MessageFailed) as wrong:
            open_smtp(box, secrets | {"password": "hush"}, tls=True).send(MESSAGE)
        assert wrong.value.cause == "denied"
        assert "hush" not in str(wrong.value)
        with pytest.raises(MessageFailed):
            open_smtp(box, tls=False).send(MESSAGE)  # the server asks for STARTTLS
        assert len(box.letters) == 1


def test_a_password_never_leaves_in_the_clear() -> None:
    vendor = open_vendor(
        "smtp",
        {"host": "mail.example.org", "port": 25, "from_email": SENDER, "tls": False},
        {"username": USER, "password": PASSWORD},
    )
    with pytest.raises(MessageFailed) as refused:
        vendor.send(MESSAGE)
    assert refused.value.cause == "insecure"


@pytest.mark.parametrize(("recipient", "cause", "passing"), [("gone", "rejected", False), ("later", "deferred", True)])
def test_a_refusal_is_final_or_passing_and_tells_no_address(recipient: str, cause: str, passing: bool) -> None:
    with mail_server() as box, pytest.raises(MessageFailed) as refused:
        open_smtp(box).send(MESSAGE._replace(recipient=f"{recipient}@example.com"))
    assert (refused.value.cause, refused.value.passing) == (cause, passing)
    assert "example.com" not in str(refused.value)


def test_a_server_that_is_not_there_or_hangs_up(tmp_path: Path) -> None:
    box = Mailbox()
    box.port = free_port()
    with pytest.raises(MessageFailed) as gone:
        open_smtp(box).send(MESSAGE)
    assert (gone.value.cause, gone.value.passing) == ("unreachable", True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        box.port = listener.getsockname()[1]
        listener.settimeout(10)
        import threading

        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(MessageFailed) as hung_up:
            open_smtp(box).send(MESSAGE)
    assert hung_up.value.passing


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com, bob@example.com",
        "ada@example.com\r\nBcc: bob@example.com",
        "Ada <ada@example.com>",
        "ada@example.com bob@example.com",
        "ada@example.com;bob@example.com",
        "@example.com",
        "ada@" + "a" * 300 + ".example.com",
    ],
)
def test_a_recipient_is_exactly_one_address(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_recipient(text)
    assert "example.com" not in str(refused.value)


@pytest.mark.parametrize(
    ("details", "field"),
    [
        ({"host": "mail.example.org"}, "from_email"),
        ({"host": "", "from_email": SENDER}, "host"),
        ({"host": "mail example", "from_email": SENDER}, "host"),
        ({"host": "mail.example.org", "from_email": "a@example.org\r\nBcc: b@example.org"}, "from_email"),
        ({"host": "mail.example.org", "from_email": SENDER, "port": 0}, "port"),
        ({"host": "mail.example.org", "from_email": SENDER, "tls": "sometimes"}, "tls"),
        ({"host": "mail.example.org", "from_email": SENDER, "domain": "example.org"}, "domain"),
    ],
)
def test_details_that_do_not_fit_name_the_field(details: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match=field):
        open_vendor("smtp", details, None)


def test_tls_is_told_by_words_or_by_truth() -> None:
    model = vendor_class("smtp").details_model
    base = {"host": "mail.example.org", "from_email": SENDER}
    told = [({}, "starttls"), ({"tls": True}, "starttls"), ({"tls": True, "port": 465}, "implicit")]
    told += [({"tls": False}, "none"), ({"tls": "implicit", "port": 2465}, "implicit")]
    for given, expected in told:
        assert model.model_validate(base | given).tls == expected  # type: ignore[attr-defined] # SmtpDetails


def test_an_unknown_vendor_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="smtp"):
        vendor_class("pigeon")


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("name", sorted(PLACEHOLDERS))
def test_every_text_exists_in_every_language_with_the_same_placeholders(name: str, language: str) -> None:
    values = {each: f"<{each}>" for each in PLACEHOLDERS[name]}
    wording = write(name, language, values)
    assert all(value in wording.text for value in values.values())
    assert "$" not in wording.subject + wording.text
    assert "<" not in wording.subject


def test_a_value_is_never_read_as_a_template() -> None:
    told = write("request_denied", "en", {"reason": "${code} {{7*7}} $request_id", "request_id": "pri_1"}).text
    assert "${code} {{7*7}} $request_id" in told


def test_there_are_two_languages() -> None:
    assert list(languages()) == ["de", "en"]

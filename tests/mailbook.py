"""A mail server for tests: real SMTP on loopback, in a thread, with STARTTLS and AUTH where asked.

It keeps what it took. What it refuses is told by the recipient: `gone@…` for good, `later@…` for now. It can be made
to refuse all for a while.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "habeas", "a password of the tests"
SENDER = "privacy@example.org"


class Mailbox:
    """What a mail server took; `port` is where it listens."""

    def __init__(self) -> None:
        self.port = 0
        self.letters: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.secure: list[bool] = []
        self.refusing = False

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusing or address.startswith("later@"):
            return "451 4.3.0 try again"
        if address.startswith("gone@"):
            return f"550 5.1.1 <{address}> is unknown here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        letter = message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.secure.append(session.ssl is not None)
        return "250 taken"

    def to(self, address: str) -> list[EmailMessage]:
        """The letters to one address, in order."""
        found = zip(self.letters, self.envelopes, strict=False)
        return [letter for letter, (_, recipients) in found if recipients == [address]]

    def await_letters(self, address: str, count: int = 1, seconds: float = 30) -> list[EmailMessage]:
        """The letters to an address once there are that many."""
        deadline = time.monotonic() + seconds
        while len(self.to(address)) < count:
            assert time.monotonic() < deadline, f"{len(self.to(address))} letters instead of {count}"
            time.sleep(0.02)
        return self.to(address)

    def code_for(self, address: str, number: int = 1, seconds: float = 30) -> str:
        """The code in the letter to an address, waiting for it."""
        return code_in(self.await_letters(address, number, seconds)[number - 1])


def code_in(letter: EmailMessage) -> str:
    """The one-time code that a letter carries."""
    found = re.findall(r"\b\d{6}\b", letter.get_content())
    assert len(found) == 1, "no single code in the letter"
    return str(found[0])


@contextmanager
def mail_server(*, tls: ssl.SSLContext | None = None, auth: bool = False, port: int = 0) -> Iterator[Mailbox]:
    """A mail server on a free loopback port (or the given one). `tls`: STARTTLS is required; `auth`: a login too."""

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        wanted = LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=given == wanted, handled=False)

    box = Mailbox()
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=tls,
        require_starttls=tls is not None,
        auth_required=auth,
        auth_require_tls=tls is not None,
        authenticator=login if auth else None,
        enable_SMTPUTF8=True,
    )
    # aiosmtpd asks its own port to see whether it runs, which for port 0 it can't know before.
    controller.start() if port else _start_on_a_free_port(controller)
    box.port = controller.server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        controller.stop()


def _start_on_a_free_port(controller: Controller) -> None:
    from serving import free_port

    controller.port = free_port()
    controller.start()


def certificate(folder: Path, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for a host, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return context, file


def settings_for(box: Mailbox, **more: Any) -> dict[str, Any]:
    """Settings that send through a mail server without TLS."""
    return {"smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_from": SENDER, "smtp_starttls": False} | more

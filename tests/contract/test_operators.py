"""What an operator does on the command line for somebody who is being verified."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from flowbook import opened
from habeas.cli.main import run
from habeas.requests.messages import Draft
from habeas.store.tables import outbox
from requestbook import MAIL


def test_a_code_is_answered_for_somebody_on_the_telephone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = {"subject_identity_verification_required": True, **MAIL}
    item = [{"policy_key": "download", "identity": {"email": "ada@example.com"}}]
    with opened(tmp_path / "data", **chosen) as flow:
        asked = flow.api.http.request("POST", "/api/v1/privacy-request", json=item, headers={"Authorization": ""})
        request_id = asked.json()["succeeded"][0]["id"]
        with flow.installation.database.read() as connection:
            row = connection.execute(sa.select(outbox)).one()
        plain = flow.installation.vault.open("message", row.sealed_body, f"{row.kind}/{row.subject}")
        code = msgspec.json.decode(plain, type=Draft).values["code"]
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "data"))
    for name, value in chosen.items():
        monkeypatch.setenv(f"HABEAS_{name.upper()}", str(value))
    assert run(["request", "verify", request_id, "a guess"]) == 4
    assert run(["request", "verify", request_id, code]) == 0
    assert run(["request", "verify", request_id, code]) == 1
    assert run(["request", "resume", request_id, "--claimed", "drop"]) == 1
    told = capsys.readouterr()
    assert f"{request_id} pending" in told.out
    assert "waits for no code" in told.err
    assert "not requires_input" in told.err

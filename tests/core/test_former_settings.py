"""fidesops' configuration: what is taken, what wins, what is said of the rest; never a value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from habeas.core.errors import BadInput, BadSyntax
from habeas.core.former_settings import COUNTERPARTS, read_former
from habeas.core.settings import Settings, load_settings

FILE = '[database]\nserver = "db.example.com"\npassword = "hush"\n[security]\nlog_level = "debug"\n[execution]\n'
FILE += "require_manual_request_approval = true\n"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("HABEAS_", "FIDESOPS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_every_counterpart_is_a_setting() -> None:
    assert set(COUNTERPARTS.values()) <= Settings.model_fields.keys()


def test_what_has_a_counterpart_is_taken_and_the_rest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fidesops.toml").write_text(FILE)
    monkeypatch.setenv("FIDESOPS__SECURITY__OAUTH_ROOT_CLIENT_ID", "root-of-old")
    monkeypatch.setenv("FIDESOPS__REDIS__HOST", "redis.example.com")
    monkeypatch.setenv("FIDESOPS__EXECUTION__TASK_RETRY_COUNT", "4")
    settings = load_settings()
    assert (settings.task_retry_count, settings.task_retry_delay) == (4, 0.5)
    assert (settings.log_level, settings.require_manual_request_approval) == ("DEBUG", True)
    assert (settings.oauth_root_client_id, settings.database_url) == ("root-of-old", None)
    told = read_former(os.environ).told()
    assert told == (
        "taken from fidesops' configuration: FIDESOPS__EXECUTION__TASK_RETRY_COUNT, "
        "FIDESOPS__SECURITY__OAUTH_ROOT_CLIENT_ID, "
        "fidesops.toml: execution.require_manual_request_approval, fidesops.toml: security.log_level; "
        "without counterpart here: FIDESOPS__REDIS__HOST, fidesops.toml: database.password, "
        "fidesops.toml: database.server"
    )


def test_ours_win_and_variables_win_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fidesops.toml").write_text("port = 9001\n")
    assert load_settings().port == 9001
    Path("habeas.toml").write_text("port = 9002\n")
    assert load_settings().port == 9002
    monkeypatch.setenv("FIDESOPS__PORT", "9003")
    assert load_settings().port == 9003
    monkeypatch.setenv("HABEAS_PORT", "9004")
    assert load_settings().port == 9004


def test_a_bad_value_is_named_where_it_stands_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fidesops.toml").write_text('[security]\noauth_access_token_expire_minutes = "hush"\n')
    with pytest.raises(BadInput, match=r"fidesops\.toml: security\.oauth_access_token_expire_minutes") as problem:
        load_settings()
    assert "hush" not in str(problem.value)
    monkeypatch.setenv("FIDESOPS__PORT", "hush")
    Path("fidesops.toml").unlink()
    with pytest.raises(BadInput, match="FIDESOPS__PORT"):
        load_settings()
    Path("fidesops.toml").write_text("hush = [")
    with pytest.raises(BadSyntax) as broken:
        load_settings()
    assert "hush" not in str(broken.value)


def test_without_fidesops_nothing_is_said() -> None:
    assert read_former({}).told() is None

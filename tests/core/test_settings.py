"""Settings: where they come from, what is refused and what is only warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from habeas.core.errors import BadInput, BadSyntax
from habeas.core.settings import Settings, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("HABEAS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8080, None)
    assert (settings.oauth_access_token_expire_minutes, settings.phone_region) == (60, "US")
    assert not settings.require_manual_request_approval
    assert not settings.subject_identity_verification_required
    assert settings.data_dir.is_absolute()


def test_environment_wins_over_the_file_and_the_file_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("habeas.toml").write_text('port = 9001\nphone_region = "de"\nlog_level = "debug"\n')
    monkeypatch.setenv("HABEAS_PORT", "9002")
    settings = load_settings()
    assert (settings.port, settings.phone_region, settings.log_level) == (9002, "DE", "DEBUG")


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_right_one() -> None:
    Path("habeas.toml").write_text("# a comment\nport = 1\nphone_regin = 'DE'\n")
    with pytest.raises(BadInput, match=r"habeas\.toml:3: unknown setting 'phone_regin'.*phone_region"):
        load_settings()


def test_bad_toml_names_the_position_and_shows_no_content() -> None:
    Path("habeas.toml").write_text("port = 1\napp_encryption_key = = 'hush'\n")
    with pytest.raises(BadSyntax) as caught:
        load_settings()
    assert "line 2" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["port = 'many'", "port = 70000", "egress_allow = 7", "database_url = 'mysql://x'"])
def test_a_bad_value_names_file_and_setting(text: str) -> None:
    Path("habeas.toml").write_text(text)
    with pytest.raises(BadInput, match=rf"habeas\.toml: {text.split()[0]}"):
        load_settings()


def test_a_bad_variable_is_named_as_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("habeas.toml").write_text("port = 1")
    monkeypatch.setenv("HABEAS_PORT", "x")
    with pytest.raises(BadInput, match="HABEAS_PORT"):
        load_settings()


@pytest.mark.parametrize("given", ["10.0.0.0/8, 192.0.2.7", "10.0.0.0/8,192.0.2.7/32,"])
def test_networks_are_separated_by_commas(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_EGRESS_ALLOW", given)
    assert load_settings().egress_allow == ("10.0.0.0/8", "192.0.2.7/32")


@pytest.mark.parametrize("given", ["/run/secrets,/etc/other", " /run/secrets , /etc/other,"])
def test_directories_for_secrets_are_separated_by_commas(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().secrets_dir == (Path("/run/secrets"),)
    monkeypatch.setenv("HABEAS_SECRETS_DIR", given)
    assert load_settings().secrets_dir == (Path("/run/secrets"), Path("/etc/other"))


@pytest.mark.parametrize("given", ["relative", "/", "/run/secrets,~"])
def test_what_is_no_directory_for_secrets(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_SECRETS_DIR", given)
    with pytest.raises(BadInput, match="HABEAS_SECRETS_DIR: give absolute directories"):
        load_settings()


@pytest.mark.parametrize(("given", "near"), [("UK", "GB"), ("USA", "US"), ("XX", ""), ("1", ""), ("DEU", "DE")])
def test_a_region_that_does_not_exist_is_refused_with_the_nearest(
    given: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HABEAS_PHONE_REGION", given)
    with pytest.raises(BadInput, match=f"HABEAS_PHONE_REGION: .*{f'did you mean {near}' if near else ''}"):
        load_settings()


def test_a_missing_named_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        load_settings(tmp_path / "none.toml")


def test_an_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    warnings = unknown_variables({"HABEAS_PROT": "1", "HABEAS_PORT": "1", "HABEAS_SERVER": "x", "OTHER": "y"})
    assert warnings == ["HABEAS_PROT is no setting of habeas and has no effect; did you mean HABEAS_PORT?"]


def test_secrets_never_show() -> None:
    settings = Settings(
        app_encryption_key="hush", oauth_root_client_secret="hush", database_url="postgresql://a:hush@h/d"
    )
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)

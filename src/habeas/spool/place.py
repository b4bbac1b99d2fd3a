"""Where spools lie: the medium that an installation's setting names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from habeas.core.errors import BadInput
from habeas.spool.directory import Directory
from habeas.spool.medium import Medium

SETTING = "HABEAS_SPOOL_URL"
_OBJECT_STORES = ("s3", "gs", "az")
_FORMS = "give file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"


def open_medium(url: str | None, default: Path) -> Medium:
    """The medium of a URL; without one, the local directory `default`. Asks nothing of it yet.

    Raises BadInput that names the setting; the URL itself isn't repeated, since it might hold a secret.
    """
    if url is None:
        return Directory(default)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadInput("is no URL", where=SETTING, fix=_FORMS) from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadInput(
            "takes no credentials, query or fragment", where=SETTING, fix="set the store's environment variables"
        )
    if parts.scheme == "file":
        return Directory(_directory_of(parts))
    if parts.scheme not in _OBJECT_STORES or not parts.netloc:
        raise BadInput("names no place for the spool", where=SETTING, fix=_FORMS)
    from habeas.spool.objects import Objects  # late: it loads a big library

    return Objects(url, setting=SETTING)


def _directory_of(parts: SplitResult) -> Path:
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or "\0" in str(path):
        raise BadInput("names no local directory", where=SETTING, fix=_FORMS)
    if path.exists() and not path.is_dir():
        raise BadInput("names something that is no directory", where=SETTING, fix=_FORMS)
    return path

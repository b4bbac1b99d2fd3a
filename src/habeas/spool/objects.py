"""A spool in an object store, which several hosts share: one object a frame, `<prefix>/<cohort>/<name>@<digest>`.

The digest in the key keeps what a stage writes apart from a late, long given up upload of the same frame by
its earlier try: an object once acknowledged is never written over. What the store acknowledged is durable.
Credentials come from the store's usual environment variables; AWS_ENDPOINT_URL names an S3-compatible server.
Messages repeat nothing that a store answered but its status. Imported late: it loads a big library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from habeas.core.errors import BadInput, Unavailable
from habeas.spool.medium import Frame, FrameLost, SpoolFull, is_name

_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_CONNECT = timedelta(seconds=5)
_REQUEST = timedelta(seconds=60)  # a frame has a few megabytes at most
_RETRYING = timedelta(seconds=30)  # the cohort's stage tries again after that, visibly
_DIGITS = 16  # of the digest in a key
_STATUS = re.compile(r"status code: (\d{3})")  # object_store's own words, before any text of the server's
_METADATA = re.compile(r"//(169\.254\.169\.254|metadata\.google\.internal)/")  # asked where nothing names credentials
_NO_SPACE = "507"
_RIGHTS = "check the credentials and their right to read, write, list and delete there"
_REASONS = {
    "401": ("it refused our credentials", _RIGHTS),
    "403": ("it refused our credentials", _RIGHTS),
    "404": ("the bucket isn't there", "check HABEAS_SPOOL_URL"),
}
_LISTED = 1000


class Objects:
    """Implements `medium.Medium` on an object store. `url` as `place.open_medium` takes it, without secrets.

    Asks the store nothing yet. Raises BadInput that names `setting`.
    """

    def __init__(self, url: str, *, setting: str) -> None:
        plain = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
        try:
            self._store = from_url(
                url,
                client_options={"connect_timeout": _CONNECT, "timeout": _REQUEST, "allow_http": plain},
                retry_config={"max_retries": 2, "retry_timeout": _RETRYING},
            )
        except (BaseError, ValueError):
            fix = "check the bucket's name and the environment variables of that store (for az:// also the account's)"
            raise BadInput("the object store can't be set up", where=setting, fix=fix) from None

    def put(self, cohort_id: str, frame: Frame, sealed: bytes, *, durable: bool) -> None:
        """As `Medium.put`; always durable. An object of an earlier write of that name stays till `clear`."""
        with _told("written", frame.name):
            # In one request: a multipart upload that breaks off would leave parts that nobody lists.
            obstore.put(self._store, _key(cohort_id, frame), sealed, use_multipart=False)

    def get(self, cohort_id: str, frame: Frame) -> bytes:
        """As `Medium.get`."""
        with _told("read", frame.name):
            try:
                return bytes(obstore.get(self._store, _key(cohort_id, frame)).bytes())
            except FileNotFoundError:
                raise FrameLost("the frame is missing", where=frame.name) from None

    def names(self, cohort_id: str) -> set[str]:
        """As `Medium.names`."""
        with _told("read", cohort_id):
            return {_name_of(path) for page in self._pages(cohort_id) for path in page}

    def drop(self, cohort_id: str, frame: Frame) -> None:
        """As `Medium.drop`."""
        with _told("written", frame.name), suppress(FileNotFoundError):
            obstore.delete(self._store, _key(cohort_id, frame))

    def clear(self, cohort_id: str) -> None:
        """As `Medium.clear`; the objects go page by page."""
        with _told("written", cohort_id):
            for page in self._pages(cohort_id):
                # Some stores say so when another host was quicker; what such a page keeps, the next call takes.
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, page)

    def cohorts_with_frames(self) -> list[str]:
        """As `Medium.cohorts_with_frames`."""
        with _told("read", None):
            found = obstore.list_with_delimiter(self._store)["common_prefixes"]
        return sorted(name for name in (each.rpartition("/")[2] for each in found) if is_name(name))

    def _pages(self, cohort_id: str) -> Iterator[list[str]]:
        for page in obstore.list(self._store, cohort_id, chunk_size=_LISTED):
            yield [each["path"] for each in page]


def _key(cohort_id: str, frame: Frame) -> str:
    return f"{cohort_id}/{frame.name}@{frame.digest[:_DIGITS]}"


def _name_of(path: str) -> str:
    return path.rpartition("/")[2].partition("@")[0]


@contextmanager
def _told(verb: str, where: str | None) -> Iterator[None]:
    """Tell the store's failures as ours. The library's texts hold addresses and answers, so none is passed on."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise _failure(str(error), verb, where) from None


def _failure(text: str, verb: str, where: str | None) -> Unavailable:
    found = _STATUS.search(text)
    status = found[1] if found else None
    if status == _NO_SPACE:
        return SpoolFull("no space left for the spool", where=where, fix="free space in the object store")
    if _METADATA.search(text):
        said, fix = "no credentials for it", "set the store's environment variables"
    elif status in _REASONS:
        said, fix = _REASONS[status]
    else:
        said, fix = f"it answered {status}" if status else "no answer", "check HABEAS_SPOOL_URL and the store"
    return Unavailable(f"the spool can't be {verb} (object store: {said})", where=where, fix=fix)

"""Every medium holds the spool's contract: a local directory and an S3 server alike."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from habeas.core.errors import BadInput, Unavailable
from habeas.spool.directory import Directory
from habeas.spool.frames import Frame, FrameLost, Spool, SpoolFull
from habeas.spool.medium import Medium
from habeas.spool.objects import Objects
from habeas.spool.place import SETTING, open_medium
from habeas.spool.rows import RowGroup, read_rows, write_rows
from serving import free_port
from spool.conftest import BUCKET, Bucket, environment_of

KEY = bytes(range(32))


def spool(medium: Medium, *, epoch: int = 1, cohort: str = "coh_1", key: bytes = KEY) -> Spool:
    return Spool(medium, cohort, epoch, key)


@pytest.mark.parametrize("size", [0, 1, 3000, 12_000_000])
def test_what_is_durable_is_read_by_another_attempt(medium: Medium, size: int) -> None:
    payload = (KEY * (size // len(KEY) + 1))[:size]
    frame = spool(medium).write("rows-1", payload, durable=True)
    assert (frame.name, frame.size) == ("rows-1.1", size)
    assert spool(medium, epoch=2).read(frame) == payload


def test_rows_go_through_in_order(medium: Medium) -> None:
    groups = [RowGroup(member, b"{}" * 500, 2) for member in range(40)]
    here = spool(medium)
    frames = write_rows(here, "rows", groups, durable=True, frame_bytes=8000)
    assert len(frames) > 3
    assert list(read_rows(spool(medium, epoch=2), frames)) == groups
    assert here.names() == [frame.name for frame in frames]


def test_small_frames_that_may_be_lost_ask_nothing_of_the_medium(medium: Medium) -> None:
    here = spool(medium)
    small = here.write("rows", b"x" * 1000, durable=False)
    assert medium.cohorts_with_frames() == []
    assert here.read(small) == b"x" * 1000
    large = here.write("more", b"x" * (1 << 20), durable=False)
    assert medium.cohorts_with_frames() == ["coh_1"]
    assert here.read(large) == b"x" * (1 << 20)
    assert here.names() == ["more.1", "rows.1"]
    with pytest.raises(FrameLost, match="missing"):
        spool(medium, epoch=2).read(small)


def test_a_missing_frame_is_lost(medium: Medium) -> None:
    here = spool(medium)
    frame = here.write("rows", b"x", durable=True)
    here.drop(frame)
    here.drop(frame)
    with pytest.raises(FrameLost, match="missing"):
        here.read(frame)
    assert here.names() == []


def test_no_frame_passes_for_another(medium: Medium) -> None:
    here = spool(medium)
    frame = here.write("a", b"aaaa", durable=True)
    with pytest.raises(FrameLost, match="key"):
        spool(medium, key=bytes(32)).read(frame)
    sealed = medium.get("coh_1", frame)
    medium.put("coh_2", frame, sealed, durable=True)
    with pytest.raises(FrameLost, match="key"):
        spool(medium, cohort="coh_2").read(frame)
    renamed = frame._replace(name="b.1")
    medium.put("coh_1", renamed, sealed, durable=True)
    with pytest.raises(FrameLost, match="key"):
        here.read(renamed)
    medium.put("coh_1", frame, sealed[:-1], durable=True)
    with pytest.raises(FrameLost, match="isn't the one"):
        here.read(frame)


def test_the_last_written_frame_of_a_name_is_read(medium: Medium) -> None:
    here = spool(medium)
    for durable in (False, True, True, False):
        frame = here.write("rows", str(durable).encode(), durable=durable)
        assert here.read(frame) == str(durable).encode()
    assert here.names() == ["rows.1"]


def test_epochs_never_write_over_each_other(medium: Medium) -> None:
    new = spool(medium, epoch=2).write("rows", b"new", durable=True)
    stale = spool(medium, epoch=1).write("rows", b"stale", durable=True)
    here = spool(medium, epoch=3)
    assert (here.read(new), here.read(stale)) == (b"new", b"stale")
    assert here.names() == ["rows.1", "rows.2"]


def test_purge_takes_all_epochs_of_this_cohort_alone(medium: Medium) -> None:
    kept = spool(medium, cohort="coh_10").write("rows", b"kept", durable=True)
    for epoch in (1, 2):
        spool(medium, epoch=epoch).write("rows", b"x", durable=True)
    assert medium.cohorts_with_frames() == ["coh_1", "coh_10"]
    here = spool(medium, epoch=3)
    here.purge()
    here.purge()
    assert here.names() == []
    assert medium.cohorts_with_frames() == ["coh_10"]
    assert spool(medium, cohort="coh_10", epoch=2).read(kept) == b"kept"


def test_hosts_that_clear_at_once_leave_nothing(medium: Medium) -> None:
    here = spool(medium)
    for number in range(30):
        here.write(f"rows-{number}", b"x", durable=True)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(medium.clear, ["coh_1"] * 4))
    medium.clear("coh_1")
    assert medium.names("coh_1") == set()


def test_threads_write_at_once(medium: Medium) -> None:
    here = spool(medium)
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda number: here.write(f"f{number}", bytes([number]), durable=True), range(20)))
    assert [here.read(frame) for frame in frames] == [bytes([number]) for number in range(20)]


def test_a_store_holds_sealed_objects_under_its_prefix_alone(bucket: Bucket, tmp_path: Path) -> None:
    frame = spool(open_medium(bucket.url, tmp_path)).write("rows", b"somebody@example.com" * 50, durable=True)
    (page,) = obstore.list(from_url(bucket.url, client_options={"allow_http": True}))
    (found,) = page
    assert found["path"] == f"coh_1/rows.1@{frame.digest[:16]}"
    sealed = bytes(obstore.get(from_url(bucket.url, client_options={"allow_http": True}), found["path"]).bytes())
    assert b"somebody" not in sealed
    assert not list(tmp_path.iterdir())


def test_what_a_store_acknowledged_is_never_written_over(bucket: Bucket, tmp_path: Path) -> None:
    """An upload that an earlier try gave up may arrive late."""
    medium = open_medium(bucket.url, tmp_path)
    late = Spool(medium, "coh_1", 1, KEY)
    sealed: list[tuple[Frame, bytes]] = []
    frame = late.write("frozen", b"given up", durable=True)
    sealed.append((frame, medium.get("coh_1", frame)))
    acknowledged = late.write("frozen", b"acknowledged", durable=True)
    medium.put("coh_1", *sealed[0], durable=True)
    assert late.read(acknowledged) == b"acknowledged"


@pytest.mark.parametrize(
    "url",
    [
        "spool",
        "/var/spool",
        "",
        "s3:",
        "s3://",
        "s3:///prefix",
        "gs://",
        "az://",
        "http://127.0.0.1/frames",
        "memory://",
        "s3://key:secret@frames/spool",
        "s3://frames/spool?region=x",
        "s3://frames/spool#x",
        "s3://fra mes/",
        "s3://[frames",
        "az://container/without-account",
        "file://",
        "file:",
        "file:relative",
        "file://another-host/spool",
        "file:///etc/passwd",
        "file:///a%00b",
    ],
)
def test_a_wrong_url_is_told_at_the_start(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_USE_EMULATOR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput) as told:
        open_medium(url, tmp_path)
    assert told.value.where == SETTING
    assert told.value.fix
    assert "secret" not in str(told.value)


def test_all_forms_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "example")
    for url in ("s3://frames", "s3://frames/a/b/", "gs://frames/spool", "az://container/spool"):
        assert isinstance(open_medium(url, tmp_path), Objects)
    for place in (None, tmp_path.as_uri(), f"file://localhost{tmp_path}/new"):
        assert isinstance(open_medium(place, tmp_path), Directory)


def _all_calls(medium: Medium) -> Iterator[str]:
    frame = Frame("rows.1", 1, "0" * 64)
    calls = {
        "write": lambda: spool(medium).write("rows", b"somebody@example.com", durable=True),
        "read": lambda: spool(medium).read(frame),
        "names": lambda: spool(medium).names(),
        "drop": lambda: spool(medium).drop(frame),
        "clear": lambda: medium.clear("coh_1"),
        "sweep": medium.cohorts_with_frames,
    }
    for call in calls.values():
        with pytest.raises(Unavailable) as told:
            call()
        yield str(told.value)
    spool(medium, epoch=2).purge()  # tells it in the log alone


def test_a_store_that_is_away_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(f"http://127.0.0.1:{free_port()}").items():
        monkeypatch.setenv(name, value)
    for text in _all_calls(open_medium("s3://frames/spool", tmp_path)):
        assert "(object store: no answer) – check HABEAS_SPOOL_URL and the store" in text
        assert "somebody" not in text


class _Refusing(ThreadingHTTPServer):
    """Answers everything with one status, repeating what it was asked and by whom."""

    status = 500

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def handle_all(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"{self.path} {self.headers['Authorization']} status code: 999".encode()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self.handle_all
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Refusing]:
    with _Refusing() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name, value in environment_of(f"http://127.0.0.1:{server.server_port}").items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "refused our credentials"), (401, "refused our credentials"), (400, "answered 400"), (500, "answered 500")],
)
def test_what_a_store_answers_is_told_by_its_status(
    refusing: _Refusing, tmp_path: Path, status: int, words: str
) -> None:
    refusing.status = status
    for text in itertools.islice(_all_calls(open_medium("s3://frames/spool", tmp_path)), 6):
        assert words in text
        assert "999" not in text
        assert "AWS4" not in text


def test_a_full_store_is_named(refusing: _Refusing, tmp_path: Path) -> None:
    refusing.status = 507
    with pytest.raises(SpoolFull, match="free space in the object store"):
        spool(open_medium("s3://frames/spool", tmp_path)).write("rows", b"x", durable=True)


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket, tmp_path: Path) -> None:
    medium = open_medium(bucket.url.replace(BUCKET, "elsewhere"), tmp_path)
    with pytest.raises(Unavailable, match="the bucket isn't there"):
        spool(medium).write("rows", b"x", durable=True)


def test_an_unwritable_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    medium = Directory(tmp_path / "file" / "spool")
    with pytest.raises(Unavailable, match="can't be written"):
        spool(medium).write("rows", b"x", durable=True)
    with pytest.raises(Unavailable, match="can't be read"):
        medium.cohorts_with_frames()
    spool(medium, epoch=2).purge()

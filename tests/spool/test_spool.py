"""The spool: sealed, bound to cohort, name and key, found damaged or missing, purged."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.spool.frames import Frame, FrameLost, Spool, SpoolFull, new_data_key
from habeas.spool.rows import RowGroup, pack_rows, read_rows, unpack_rows, write_rows

KEY = bytes(range(32))


def files_under(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def spool(root: Path, *, epoch: int = 1, cohort: str = "coh_1", key: bytes = KEY, memory: int = 1 << 20) -> Spool:
    return Spool(root, cohort, epoch, key, memory=memory)


@given(st.binary(max_size=5000), st.booleans(), st.sampled_from([0, 1 << 20]))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, durable: bool, memory: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "round"
    here = spool(root, memory=memory)
    frame = here.write("rows-1", payload, durable=durable)
    assert frame.size == len(payload)
    assert here.read(frame) == payload
    if durable:
        assert spool(root, epoch=2).read(frame) == payload
    here.purge()


def test_a_small_undurable_frame_writes_no_file(tmp_path: Path) -> None:
    here = spool(tmp_path / "spool")
    frame = here.write("rows", b"x" * 1000, durable=False)
    assert not (tmp_path / "spool").exists()
    assert here.names() == [frame.name]
    with pytest.raises(FrameLost, match="missing"):
        spool(tmp_path / "spool").read(frame)


def test_memory_is_bounded_in_all(tmp_path: Path) -> None:
    here = spool(tmp_path, memory=3000)
    frames = [here.write(f"rows-{number}", bytes(1000), durable=False) for number in range(5)]
    assert len(files_under(tmp_path)) == 3
    assert [len(here.read(frame)) for frame in frames] == [1000] * 5
    assert here.names() == sorted(frame.name for frame in frames)
    here.drop(frames[0])
    here.drop(frames[0])
    here.write("rows-9", bytes(900), durable=False)
    assert len(files_under(tmp_path)) == 3


def test_frames_are_sealed_and_private(tmp_path: Path) -> None:
    here = spool(tmp_path)
    here.write("rows", b"somebody@example.com" * 50, durable=True)
    (path,) = files_under(tmp_path)
    assert b"somebody" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.name == "rows.1"


def test_the_digest_says_nothing_about_the_payload(tmp_path: Path) -> None:
    here = spool(tmp_path)
    assert here.write("a", b"same", durable=False).digest != here.write("b", b"same", durable=False).digest
    assert len(new_data_key()) == 32
    assert new_data_key() != new_data_key()


def test_writing_a_name_again_replaces_it(tmp_path: Path) -> None:
    here = spool(tmp_path)
    for durable in (True, False):
        old = here.write("rows", b"old", durable=durable)
        new = here.write("rows", b"new", durable=durable)
        assert here.read(new) == b"new"
        with pytest.raises(FrameLost):
            here.read(old)


def test_epochs_never_write_over_each_other(tmp_path: Path) -> None:
    old, new = spool(tmp_path, epoch=1), spool(tmp_path, epoch=2)
    first = new.write("rows", b"new", durable=True)
    late = old.write("rows", b"stale", durable=True)
    assert new.read(first) == b"new"
    assert new.read(late) == b"stale"
    assert new.names() == ["rows.1", "rows.2"]


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "gone", "swap", "replay"])
def test_damage_is_noticed(tmp_path: Path, harm: str) -> None:
    here = spool(tmp_path)
    frame, other = here.write("a", b"aaaa", durable=True), here.write("b", b"bbbb", durable=True)
    path = tmp_path / "coh_1" / frame.name
    sealed = path.read_bytes()
    if harm == "cut":
        path.write_bytes(sealed[:-1])
    elif harm == "flip":
        path.write_bytes(sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "gone":
        path.unlink()
    elif harm == "swap":
        path.write_bytes((path.parent / other.name).read_bytes())
        frame = Frame(frame.name, 4, other.digest)
    else:
        here.write("a", b"aaab", durable=True)
    with pytest.raises(FrameLost):
        here.read(frame)


def test_another_key_or_cohort_opens_nothing(tmp_path: Path) -> None:
    frame = spool(tmp_path).write("rows", b"x", durable=True)
    with pytest.raises(FrameLost, match="key"):
        spool(tmp_path, key=bytes(32)).read(frame)
    (tmp_path / "coh_2").mkdir()
    os.link(tmp_path / "coh_1" / frame.name, tmp_path / "coh_2" / frame.name)
    with pytest.raises(FrameLost, match="key"):
        spool(tmp_path, cohort="coh_2").read(frame)


def test_purge_leaves_nothing_of_this_cohort_alone(tmp_path: Path) -> None:
    other = spool(tmp_path, cohort="coh_2")
    kept = other.write("rows", b"kept", durable=True)
    for epoch in (1, 2):
        spool(tmp_path, epoch=epoch).write("rows", b"x", durable=True)
    here = spool(tmp_path, epoch=3)
    memory = here.write("small", b"x", durable=False)
    here.purge()
    here.purge()
    assert here.names() == []
    with pytest.raises(FrameLost):
        here.read(memory)
    assert other.read(kept) == b"kept"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\x00b", "x" * 201, "rows.undone"])
def test_names_can_not_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a name in the spool"):
        spool(tmp_path).write(name, b"", durable=True)
    with pytest.raises(ValueError, match="a name in the spool"):
        spool(tmp_path, cohort=name)


def test_a_full_disk_is_a_clear_error_and_keeps_nothing(tmp_path: Path) -> None:
    script = (
        "import errno, os, sys, pathlib, resource, signal\n"
        "from habeas.spool.frames import Spool\n"
        "from habeas.core.errors import Unavailable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "spool = Spool(pathlib.Path(sys.argv[1]), 'coh_1', 1, bytes(32))\n"
        "try:\n    spool.write('rows', bytes(5000), durable=True)\n"
        "except Unavailable as error:\n    print(error); print(spool.names())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["rows.1: the spool can't be written (File too large)", "[]"]
    assert files_under(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_no_space_left_is_named(tmp_path: Path) -> None:
    (tmp_path / "coh_1").mkdir()
    (tmp_path / "coh_1" / "rows.1.undone").symlink_to("/dev/full")
    with pytest.raises(SpoolFull, match=r"rows.1: no space left for the spool – free disk space"):
        spool(tmp_path).write("rows", bytes(5000), durable=True)
    assert spool(tmp_path).names() == []


groups = st.lists(
    st.builds(RowGroup, st.integers(0, 2**32 - 1), st.binary(max_size=50), st.integers(0, 2**32 - 1)), max_size=30
)


@given(groups, st.integers(1, 200))
def test_groups_come_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, given_groups: list[RowGroup], frame_bytes: int
) -> None:
    assert list(unpack_rows(pack_rows(given_groups))) == given_groups
    here = spool(tmp_path_factory.getbasetemp() / "groups")
    frames = write_rows(here, "rows-3", given_groups, frame_bytes=frame_bytes)
    assert list(read_rows(here, frames)) == given_groups
    assert [frame.name for frame in frames] == sorted(frame.name for frame in frames)


@given(
    st.lists(st.builds(RowGroup, st.integers(0, 9), st.binary(min_size=1), st.integers(0, 9)), min_size=1), st.data()
)
def test_a_cut_frame_of_rows_is_an_error(some: list[RowGroup], data: st.DataObject) -> None:
    payload = pack_rows(some)
    cut = payload[: data.draw(st.integers(1, len(payload) - 1))]
    whole = [len(pack_rows(some[:count])) for count in range(len(some) + 1)]
    if len(cut) not in whole:
        with pytest.raises(ValueError, match="ends early"):
            list(unpack_rows(cut))

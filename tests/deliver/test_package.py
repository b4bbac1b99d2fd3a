"""Packages: exact, streamed, never mixed, sealed, published once however often."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import stat
import tracemalloc
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from habeas.core.errors import BadInput
from habeas.core.values import encoder_for
from habeas.deliver.base import DeliveryFailed, Destination, EncodedRows, PackageMember, PackageRef, StepRows
from habeas.deliver.csv_package import WaitingRows, flatten, guarded
from habeas.deliver.merge import OutOfOrder
from habeas.deliver.package import publish, write_packages
from habeas.deliver.registry import check_settings, destination_class, destination_classes, open_destination
from habeas.deliver.sealing import SealedText, check_encryption_key
from habeas.plan.model import NotSearched
from habeas.spool.rows import RowGroup

KEY = "test--encryption"


@pytest.fixture
def local(tmp_path: Path) -> Destination:
    return open_destination("local", "my_storage", {}, None, tmp_path)


def rows_of(address: str, by_member: dict[int, list[dict[str, Any]]], chunk: int = 2) -> StepRows:
    columns = list(dict.fromkeys(name for rows in by_member.values() for row in rows for name in row))

    def groups() -> Iterator[EncodedRows]:
        for member, rows in sorted(by_member.items()):
            for start in range(0, len(rows), chunk):
                some = rows[start : start + chunk]
                data = b",".join(encoder_for(list(row))([tuple(row.values())]) for row in some)
                yield RowGroup(member, data, len(some))

    return StepRows(address, columns, groups())


def deliver(
    local: Destination, members: list[PackageMember], sources: list[StepRows], form: Any = "json", epoch: int = 1
) -> list[PackageRef]:
    refs = write_packages(local, form, members, sources, epoch)
    publish(local, refs)
    return refs


def content(tmp_path: Path, name: str) -> bytes:
    return (tmp_path / "packages" / name).read_bytes()


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def unsealed(text: bytes, key: str = KEY) -> bytes:
    raw = base64.b64decode(text, validate=True)
    return AESGCM(key.encode()).decrypt(raw[:12], raw[12:], raw[:12])


def test_a_package_holds_collections_in_order_and_only_those_with_rows(tmp_path: Path, local: Destination) -> None:
    sources = [
        rows_of(
            "shop:orders",
            {0: [{"id": 1, "total": Decimal("1.10")}, {"id": 2, "total": None}, {"id": 3, "total": Decimal("0.00")}]},
        ),
        rows_of("shop:empty", {}),
        rows_of("crm:customer", {0: [{"name": "Jane", "address": {"city": "X"}}]}),
    ]
    (ref,) = deliver(local, [PackageMember("pri_1")], sources)
    text = content(tmp_path, "pri_1.json")
    assert text == (
        b'{"shop:orders":[{"id":1,"total":1.10},{"id":2,"total":null},{"id":3,"total":0.00}],\n'
        b'"crm:customer":[{"name":"Jane","address":{"city":"X"}}]}'
    )
    assert ref == PackageRef(
        "pri_1", "my_storage", "packages/pri_1.json", hashlib.sha256(text).hexdigest(), len(text), "pri_1.json.1.part"
    )
    assert stat.S_IMODE((tmp_path / "packages" / "pri_1.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "packages").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["pri_1.json"]


def test_nothing_found_is_an_empty_object_or_archive(tmp_path: Path, local: Destination) -> None:
    deliver(local, [PackageMember("pri_1", kinds=("email",))], [rows_of("a:b", {})])
    deliver(local, [PackageMember("pri_1")], [], "csv")
    assert content(tmp_path, "pri_1.json") == b"{}"
    assert entries(content(tmp_path, "pri_1.zip")) == {}


@pytest.mark.parametrize("found", [True, False])
def test_what_was_not_searched_is_told(tmp_path: Path, local: Destination, found: bool) -> None:
    left_out = (NotSearched("crm:lead", "identity_absent", "needs phone_number"),)
    member = PackageMember("pri_1", not_searched=left_out, kinds=("email",))
    sources = [{0: [{"c": 1}]} if found else {}]
    deliver(local, [member], [rows_of("a:b", rows) for rows in sources])
    deliver(local, [member], [rows_of("a:b", rows) for rows in sources], "csv")
    told = json.loads(content(tmp_path, "pri_1.json"))
    assert told == ({"a:b": [{"c": 1}]} if found else {}) | {
        "not_searched": [{"address": "crm:lead", "reason": "identity_absent", "detail": "needs phone_number"}],
        "identity_kinds": ["email"],
    }
    archive = entries(content(tmp_path, "pri_1.zip"))
    assert archive["not_searched.csv"] == b"address,reason,detail\r\ncrm:lead,identity_absent,needs phone_number\r\n"
    assert len(archive) == 1 + found


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.lists(st.text(max_size=3), max_size=2),
)
steps = st.lists(
    st.dictionaries(
        st.integers(0, 6),
        st.lists(st.fixed_dictionaries({"whose": st.none(), "v": values, "w": values}), min_size=1, max_size=5),
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sets(st.integers(0, 6), min_size=1), st.integers(1, 3), st.sampled_from([None, KEY]))
def test_members_never_mix_and_values_are_exact(
    tmp_path: Path,
    local: Destination,
    by_step: list[dict[int, list[dict[str, Any]]]],
    present: set[int],
    chunk: int,
    key: str | None,
) -> None:
    for rows_by_member in by_step:
        for member, rows in rows_by_member.items():
            for row in rows:
                row["whose"] = member
    sources = [rows_of(f"set:step{number}", rows, chunk) for number, rows in enumerate(by_step)]
    members = [PackageMember(f"pri_{member}", key, member=member) for member in present]
    refs = deliver(local, members, sources)
    assert [ref.request_id for ref in refs] == [f"pri_{member}" for member in sorted(present)]
    for ref in refs:
        member = int(ref.request_id.removeprefix("pri_"))
        data = (tmp_path / ref.location).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (ref.size, ref.digest)
        package = json.loads(unsealed(data) if key else data, parse_float=Decimal)
        assert package == {f"set:step{number}": rows[member] for number, rows in enumerate(by_step) if member in rows}


def test_rows_out_of_order_deliver_nothing(tmp_path: Path, local: Destination) -> None:
    groups = [RowGroup(0, b"{}", 1), RowGroup(2, b"{}", 1), RowGroup(1, b"{}", 1)]
    members = [PackageMember("pri_0"), PackageMember("pri_1"), PackageMember("pri_2")]
    with pytest.raises(OutOfOrder, match="a:b: rows don't come in order of member"):
        write_packages(local, "json", members, [StepRows("a:b", ["x"], groups)], 1)
    assert list((tmp_path / "packages").iterdir()) == []


# -- csv ------------------------------------------------------------------------------------------


def test_csv_flattens_guards_and_keeps_digits(tmp_path: Path, local: Destination) -> None:
    rows = [
        {"id": 1, "note": "=1+1", "paid": Decimal("-1.50"), "ok": True, "address": {"city": "Köln", "geo": {"lat": 1}}},
        {
            "id": 2,
            "note": 'say "hi", all\nof you',
            "paid": None,
            "ok": False,
            "address": None,
            "tags": ["a", {"b": Decimal("1.0")}],
        },
        {
            "id": -3,
            "note": "+1 202 555 0100",
            "paid": Decimal("0.10"),
            "ok": None,
            "address": {"zip": "01234"},
            "tags": [],
        },
    ]
    deliver(local, [PackageMember("pri_1")], [rows_of("shop:orders", {0: rows})], "csv")
    archive = entries(content(tmp_path, "pri_1.zip"))
    assert list(archive) == ["shop:orders.csv"]
    read = list(csv.reader(io.StringIO(archive["shop:orders.csv"].decode(), newline="")))
    assert read == [
        ["id", "note", "paid", "ok", "address.city", "address.geo.lat", "address", "tags", "address.zip"],
        ["1", "'=1+1", "-1.50", "true", "Köln", "1", "", "", ""],
        ["2", 'say "hi", all\nof you', "", "false", "", "", "", '["a",{"b":1.0}]', ""],
        ["-3", "'+1 202 555 0100", "0.10", "", "", "", "", "[]", "01234"],
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_guarded_in_cells_and_headers(tmp_path: Path, local: Destination, start: str) -> None:
    assert guarded(f"{start}x") == f"'{start}x"
    assert guarded(f"x{start}") == f"x{start}"
    deliver(local, [PackageMember("pri_1")], [rows_of("a:b", {0: [{f"{start}head": f"{start}cell"}]})], "csv")
    (data,) = entries(content(tmp_path, "pri_1.zip")).values()
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == [[f"'{start}head"], [f"'{start}cell"]]


def test_entry_names_stay_in_their_directory(tmp_path: Path, local: Destination) -> None:
    addresses = ["../../etc:x/y", "a\\b:c", "..:z", "a/b:c", "a\x00b:c"]
    deliver(local, [PackageMember("pri_1")], [rows_of(each, {0: [{"v": 1}]}) for each in addresses], "csv")
    names = list(entries(content(tmp_path, "pri_1.zip")))
    assert names == ["_.._etc:x_y.csv", "a_b:c.csv", ":z.csv", "a_b:c_.csv", "a_b:c__.csv"]


def test_flatten_drops_nothing() -> None:
    assert flatten({"a": {"b": 1}, "a.b": 2, "c": {}, "d": {"e": {"f": None}}}) == {
        "a.b": 1,
        "a.b_": 2,
        "c": {},
        "d.e.f": None,
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(max_size=5), min_size=1), min_size=1, max_size=6)
)
def test_csv_reads_back(tmp_path: Path, local: Destination, rows: list[dict[str, str]]) -> None:
    deliver(local, [PackageMember("pri_1")], [rows_of("a:b", {0: list(rows)})], "csv")
    (data,) = entries(content(tmp_path, "pri_1.zip")).values()
    read = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    header = list(dict.fromkeys(name for row in rows for name in row))
    assert read == [{name: guarded(row.get(name, "")) for name in header} for row in rows]


def test_waiting_rows_spill_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with WaitingRows() as waiting:
        for number in range(20):
            waiting.add(b'{"v":"' + str(number).encode() * 300_000 + b'"}')
        spilled = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert spilled
        assert all(b'{"v":"' not in path.read_bytes() for path in spilled)  # of three bytes chance makes some
        assert [row["v"][:2] for (row,) in waiting.groups()] == [f"{number}{number}"[:2] for number in range(20)]  # type: ignore[index]
    assert list(tmp_path.iterdir()) == []


# -- encryption -----------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_sealed_text_opens_as_fidesops_does(chunks: list[bytes]) -> None:
    written: list[bytes] = []
    sealed = SealedText(written.append, KEY)
    for chunk in chunks:
        sealed.write(chunk)
    sealed.finish()
    assert unsealed(b"".join(written)) == b"".join(chunks)
    with pytest.raises(InvalidTag):
        unsealed(b"".join(written), "another-16-bytes")


def test_a_sealed_csv_seals_each_entry(tmp_path: Path, local: Destination) -> None:
    sources = [rows_of("a:b", {0: [{"v": 1}]}), rows_of("a:c", {0: [{"v": 2}]})]
    deliver(local, [PackageMember("pri_1", KEY)], sources, "csv")
    archive = entries(content(tmp_path, "pri_1.zip"))
    assert {name: unsealed(data) for name, data in archive.items()} == {
        "a:b.csv": b"v\r\n1\r\n",
        "a:c.csv": b"v\r\n2\r\n",
    }


@pytest.mark.parametrize("key", ["", "short", "é" * 16, "x" * 17, "\ud800" * 16])
def test_keys_of_another_length_are_refused_unseen(local: Destination, key: str) -> None:
    with pytest.raises(BadInput, match="encryption_key: must be 16 bytes long") as caught:
        check_encryption_key(key)
    assert not key or key not in str(caught.value)
    with pytest.raises(BadInput):
        write_packages(local, "json", [PackageMember("pri_1"), PackageMember("pri_2", key)], [], 1)
    assert len(check_encryption_key("é" * 8)) == 16


# -- publishing -----------------------------------------------------------------------------------


def test_parts_are_not_shown_until_published_and_publishing_repeats_safely(tmp_path: Path, local: Destination) -> None:
    source = {0: [{"v": 1}]}
    refs = write_packages(local, "json", [PackageMember("pri_1")], [rows_of("a:b", source)], 3)
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["pri_1.json.3.part"]
    publish(local, refs)
    publish(local, refs)
    publish(local, [])
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["pri_1.json"]


def test_a_newer_attempt_replaces_and_clears_older_parts(tmp_path: Path, local: Destination) -> None:
    old = write_packages(local, "json", [PackageMember("pri_1")], [rows_of("a:b", {0: [{"v": 1}]})], 1)
    write_packages(local, "csv", [PackageMember("pri_1")], [rows_of("a:b", {0: [{"v": 1}]})], 1)
    new = write_packages(local, "json", [PackageMember("pri_1")], [rows_of("a:b", {0: [{"v": 2}]})], 2)
    publish(local, new)
    assert content(tmp_path, "pri_1.json") == b'{"a:b":[{"v":2}]}'
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == ["pri_1.json", "pri_1.zip.1.part"]
    with pytest.raises(DeliveryFailed, match="a written package is gone"):
        publish(local, old)
    assert content(tmp_path, "pri_1.json") == b'{"a:b":[{"v":2}]}'


def test_a_failure_in_the_middle_leaves_no_part(tmp_path: Path, local: Destination) -> None:
    def breaks() -> Iterator[EncodedRows]:
        yield RowGroup(0, b'{"v":1}', 1)
        raise DeliveryFailed("the spool is gone")

    members = [PackageMember("pri_0"), PackageMember("pri_1")]
    with pytest.raises(DeliveryFailed, match="the spool is gone"):
        write_packages(local, "json", members, [StepRows("a:b", ["v"], breaks())], 1)
    assert list((tmp_path / "packages").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_full_disk_is_a_delivery_failure(tmp_path: Path, local: Destination, form: str) -> None:
    (tmp_path / "packages").mkdir()
    suffix = {"json": "json", "csv": "zip"}[form]
    (tmp_path / "packages" / f"pri_1.{suffix}.1.part").symlink_to("/dev/full")
    with pytest.raises(
        DeliveryFailed, match=r"my_storage: the package can't be written \(No space left on device\)"
    ) as caught:
        deliver(local, [PackageMember("pri_1")], [rows_of("a:b", {0: [{"v": "somebody@example.com"}]})], form)
    assert "somebody" not in str(caught.value)
    assert list((tmp_path / "packages").iterdir()) == []


def test_many_packages_are_synced_together(tmp_path: Path, local: Destination) -> None:
    members = [PackageMember(f"pri_{number}") for number in range(300)]
    refs = deliver(local, members, [rows_of("a:b", {number: [{"v": number}] for number in range(300)})])
    for number in (0, 299):
        assert json.loads(content(tmp_path, f"pri_{number}.json")) == {"a:b": [{"v": number}]}
    assert len(refs) == len(list((tmp_path / "packages").iterdir())) == 300


@pytest.mark.parametrize("form", ["json", "csv"])
def test_memory_is_flat_in_the_size_of_a_package(local: Destination, form: Any) -> None:
    group = RowGroup(0, b",".join(b'{"v":"%s"}' % (b"x" * 990) for _ in range(500)), 500)

    def peak(groups: int) -> int:
        tracemalloc.start()
        rows = (group for _ in range(groups))
        deliver(local, [PackageMember("pri_1", KEY)], [StepRows("a:b", ["v"], rows)], form)
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    small, large = peak(20), peak(80)
    assert large < small + (1 << 20)


# -- settings -------------------------------------------------------------------------------------


def test_every_destination_is_found() -> None:
    assert [each.kind for each in destination_classes()] == ["local"]
    assert destination_class("local").formats == ("json", "csv")
    with pytest.raises(BadInput, match="no such type of storage: 'floppy' – use local"):
        destination_class("floppy")


@pytest.mark.parametrize(
    ("details", "secrets", "message"),
    [
        ({"naming": "email"}, None, "details: naming: Input should be 'request_id'"),
        ({"bucket": "b"}, None, "details: bucket: Extra inputs are not permitted"),
        ({}, {"token": "hidden-value"}, "secrets: this type of storage takes none"),
    ],
)
def test_settings_are_checked(
    tmp_path: Path, details: dict[str, Any], secrets: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        open_destination("local", "k", details, secrets, tmp_path)
    assert message in str(caught.value)
    assert "hidden-value" not in str(caught.value)


def test_formats_and_ids_are_checked_before_writing(tmp_path: Path, local: Destination) -> None:
    assert check_settings(None, {}, "secrets") is None
    with pytest.raises(BadInput, match="takes no format xml"):
        write_packages(local, "xml", [], [], 1)  # type: ignore[arg-type]
    for request_id in ("../x", "", "a/b", "a.b"):
        with pytest.raises(BadInput, match="not the id"):
            write_packages(local, "json", [PackageMember(request_id)], [], 1)
    with pytest.raises(BadInput, match="one index"):
        write_packages(local, "json", [PackageMember("a", member=1), PackageMember("b")], [], 1)
    assert not (tmp_path / "packages").exists()

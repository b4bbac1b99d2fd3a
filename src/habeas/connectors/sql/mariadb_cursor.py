"""Server-side cursors of MariaDB and MySQL: a result of any size in portions, other statements in between.

The driver knows buffered results, which take all memory, and unbuffered ones, which block the connection. The
protocol also has prepared statements with a cursor: the server keeps the result and hands out portions
(https://mariadb.com/kb/en/com_stmt_fetch/). This speaks just that part of it over the driver's connection.
Rows are taken apart here, or in C (`mariadb_bulk`): the same values by the same converters.
Never puts a value into a statement: its text comes with the driver's literals.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pymysql.constants import COMMAND, FIELD_TYPE
from pymysql.protocol import FieldDescriptorPacket

from habeas.connectors.sql import mariadb_bulk
from habeas.connectors.sql.mariadb_bulk import AS_BYTES, AS_TEXT, Row

Decoded = tuple[Any, int]  # a value and the position after it
Decoder = Callable[[bytes, int], Decoded]

_READ_ONLY_CURSOR = 1
_CURSOR_EXISTS, _LAST_ROW_SENT = 0x40, 0x80
_UNSIGNED = 0x20
_BINARY = 63  # the number of the character set that is none


class _Field(NamedTuple):
    type: int
    charset: int
    flags: int


class _Shape(NamedTuple):
    """How rows of a result are taken apart: here, and in C unless a column has a type that can't be."""

    decode: Callable[[bytes], Row]
    columns: tuple[mariadb_bulk.Column, ...] | None


def stream(connection: Any, statement: str, rows_at_once: int) -> Iterator[Sequence[Row]]:
    """Rows of a statement that reads, in portions; the server's copy is dropped at the end. Driver errors pass."""
    prepared = _prepare(connection, statement)
    try:
        shape, status = _execute(connection, prepared)
        if not status & _CURSOR_EXISTS:  # the server sends a result at once where it has none to keep
            rows, _ = _rows(connection, shape)
            if rows:
                yield rows
            return
        while not status & _LAST_ROW_SENT:
            connection._execute_command(COMMAND.COM_STMT_FETCH, struct.pack("<II", prepared, rows_at_once))
            rows, status = _rows(connection, shape)
            if rows:
                yield rows
    finally:
        if connection.open:
            connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", prepared))  # has no answer


def _prepare(connection: Any, statement: str) -> int:
    connection._execute_command(COMMAND.COM_STMT_PREPARE, statement)
    _, prepared, columns, parameters = struct.unpack_from("<BIHH", connection._read_packet().get_all_data())
    for count in (parameters, columns):
        for _ in range(count + bool(count)):  # definitions, which execution repeats, and their end
            connection._read_packet()
    return int(prepared)


def _execute(connection: Any, prepared: int) -> tuple[_Shape, int]:
    connection._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", prepared, _READ_ONLY_CURSOR, 1))
    width = connection._read_packet().read_length_encoded_integer()
    packets = [connection._read_packet(FieldDescriptorPacket) for _ in range(width)]
    fields = [_Field(packet.type_code, packet.charsetnr, packet.flags) for packet in packets]
    return _Shape(_row_decoder(fields), _bulk_columns(fields)), _status(connection._read_packet())


def _rows(connection: Any, shape: _Shape) -> tuple[list[Row], int]:
    rows: list[Row] = []
    received = connection._rfile
    in_bulk = shape.columns is not None and isinstance(received, mariadb_bulk.Received)
    while True:
        packet = connection._read_packet()
        if packet.is_eof_packet():
            return rows, _status(packet)
        rows.append(shape.decode(packet.get_all_data()))
        if in_bulk:
            connection._next_seq_id = received.take_rows(shape.columns, connection._next_seq_id, rows)


def _status(end: Any) -> int:
    (status,) = struct.unpack_from("<H", end.get_all_data(), 3)
    return int(status)


def _row_decoder(fields: Sequence[_Field]) -> Callable[[bytes], Row]:
    """Rows of the binary protocol: a zero byte, a bit for each NULL (from bit 2), then the values."""
    decoders = [_decoder(field) for field in fields]
    nulls_end = 1 + (len(fields) + 9) // 8

    def decode(data: bytes) -> Row:
        nulls = int.from_bytes(data[1:nulls_end], "little") >> 2
        values: list[Any] = []
        position = nulls_end
        for decoder in decoders:
            if nulls & 1:
                values.append(None)
            else:
                value, position = decoder(data, position)
                values.append(value)
            nulls >>= 1
        return tuple(values)

    return decode


def _decoder(field: _Field) -> Decoder:
    if field.type in _INTEGERS:
        signed, unsigned = _INTEGERS[field.type]
        return _fixed(unsigned if field.flags & _UNSIGNED else signed)
    if field.type == FIELD_TYPE.DOUBLE:
        return _fixed(_DOUBLE)
    if field.type == FIELD_TYPE.FLOAT:
        return _single
    convert = _converter(field)
    return _bytes if convert is None else _converted(convert)


def _converter(field: _Field) -> Callable[[bytes], Any] | None:
    """Of a value that comes with its length; None for bytes."""
    if field.type in _CONVERTERS:
        return _CONVERTERS[field.type]
    return None if field.charset == _BINARY and field.type != FIELD_TYPE.JSON else bytes.decode


def _bulk_columns(fields: Sequence[_Field]) -> tuple[mariadb_bulk.Column, ...] | None:
    if any(field.type == FIELD_TYPE.FLOAT for field in fields):
        return None  # has no length, so it can't be had as bytes, and its shortest number is ours
    return tuple(map(_bulk_column, fields))


def _bulk_column(field: _Field) -> mariadb_bulk.Column:
    if field.type in _INTEGERS or field.type == FIELD_TYPE.DOUBLE:
        return (field.type, bool(field.flags & _UNSIGNED), AS_BYTES, None, None)
    convert = _converter(field)
    if convert is bytes.decode:
        return (FIELD_TYPE.VAR_STRING, False, AS_TEXT, None, None)
    return (FIELD_TYPE.VAR_STRING, False, AS_BYTES, None, convert)


def _converted(convert: Callable[[bytes], Any]) -> Decoder:
    def decode(data: bytes, position: int) -> Decoded:
        raw, position = _bytes(data, position)
        return convert(raw), position

    return decode


def _fixed(layout: struct.Struct) -> Decoder:
    def decode(data: bytes, position: int) -> Decoded:
        return layout.unpack_from(data, position)[0], position + layout.size

    return decode


def _bytes(data: bytes, position: int) -> Decoded:
    size = data[position]
    position += 1
    if size > 250:
        width = {252: 2, 253: 3, 254: 8}[size]
        size = int.from_bytes(data[position : position + width], "little")
        position += width
    return data[position : position + size], position + size


def _decimal(raw: bytes) -> Decimal:
    return Decimal(raw.decode())


def _bits(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


_SINGLE, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


def _single(data: bytes, position: int) -> Decoded:
    """The shortest decimal number that is this one in single precision."""
    (value,) = _SINGLE.unpack_from(data, position)
    for digits in range(6, 9):
        shorter = float(f"{value:.{digits}g}")
        if _SINGLE.pack(shorter) == data[position : position + 4]:
            return shorter, position + 4
    return float(f"{value:.9g}"), position + 4


def _moment(raw: bytes) -> tuple[int, ...]:
    """Year to microsecond; trailing zeros aren't sent."""
    return struct.unpack("<HBBBBBI", raw.ljust(11, b"\0"))


def _date(raw: bytes) -> date | str:
    """As text where it is no day of the calendar, such as the zero date."""
    year, month, day, *_ = _moment(raw)
    try:
        return date(year, month, day)
    except ValueError:
        return f"{year:04}-{month:02}-{day:02}"


def _datetime(raw: bytes) -> datetime | str:
    """As text where its day is none of the calendar."""
    year, month, day, hour, minute, second, micro = _moment(raw)
    try:
        return datetime(year, month, day, hour, minute, second, micro)
    except ValueError:
        text = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        return f"{text}.{micro:06}" if micro else text


def _timestamp(raw: bytes) -> datetime | str:
    """A moment: the session's zone is UTC."""
    value = _datetime(raw)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _time(raw: bytes) -> str:
    """As text: it may be negative, and longer than a day."""
    negative, days, hours, minutes, seconds, micro = struct.unpack("<BIBBBI", raw.ljust(12, b"\0"))
    text = f"{'-' if negative else ''}{days * 24 + hours:02}:{minutes:02}:{seconds:02}"
    return f"{text}.{micro:06}" if micro else text


_INTEGERS = {
    FIELD_TYPE.TINY: (struct.Struct("<b"), struct.Struct("<B")),
    FIELD_TYPE.SHORT: (struct.Struct("<h"), struct.Struct("<H")),
    FIELD_TYPE.YEAR: (struct.Struct("<H"), struct.Struct("<H")),
    FIELD_TYPE.INT24: (struct.Struct("<i"), struct.Struct("<I")),
    FIELD_TYPE.LONG: (struct.Struct("<i"), struct.Struct("<I")),
    FIELD_TYPE.LONGLONG: (struct.Struct("<q"), struct.Struct("<Q")),
}

_CONVERTERS: dict[int, Callable[[bytes], Any]] = {
    FIELD_TYPE.DECIMAL: _decimal,
    FIELD_TYPE.NEWDECIMAL: _decimal,
    FIELD_TYPE.BIT: _bits,
    FIELD_TYPE.DATE: _date,
    FIELD_TYPE.NEWDATE: _date,
    FIELD_TYPE.DATETIME: _datetime,
    FIELD_TYPE.TIMESTAMP: _timestamp,
    FIELD_TYPE.TIME: _time,
}

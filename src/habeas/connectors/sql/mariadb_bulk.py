"""Rows of server-side cursors taken apart in C, by asyncmy where that extra is installed. Never changes a value.

PyMySQL keeps the connection. asyncmy's own ways of reading don't serve: its unbuffered cursors leave the connection
to nobody else, and its prepared statements make zero dates NULL. One function of it is used, which parses rows of
the binary protocol out of a buffer. So a buffer of ours lies under PyMySQL's connection, and what has arrived whole
is parsed from there; waiting, errors, ends and rows that aren't whole stay PyMySQL's. What isn't plainly the same
value in both is given to that function as bytes, with our own converters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pymysql

try:
    from asyncmy.errors import MySQLError
    from asyncmy.protocol import parse_binary_rows_from_buffer
except ImportError:  # the extra isn't installed
    IS_THERE = False
else:
    IS_THERE = True

Row = tuple[Any, ...]
Column = tuple[int, bool, int, None, Callable[[bytes], Any] | None]
"""asyncmy's: type, whether unsigned, how bytes are taken (0: as they are, 1: as UTF-8), a codec, a converter."""

AS_BYTES, AS_TEXT = 0, 1
_AT_ONCE = 1 << 16  # bytes asked of the socket


class Received:
    """What a server has sent and nobody has read, in the place of the file that PyMySQL's connection reads."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._held = bytearray()
        self._position = 0

    def read(self, size: int) -> bytes:
        """As a file does: waits, and gives less only where the file ends."""
        while len(self._held) - self._position < size:
            more = self._file.read1(_AT_ONCE)
            if not more:
                break
            del self._held[: self._position]
            self._position = 0
            self._held += more
        with memoryview(self._held) as held:
            data = bytes(held[self._position : self._position + size])
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def take_rows(self, columns: Sequence[Column], number: int, rows: list[Row]) -> int:
        """Append those rows that are here whole, without waiting; `number` is the next packet's, and so is what is
        returned. Stops before whatever is no row of one packet. Raises InternalError of PyMySQL.
        """
        try:
            self._position, number = parse_binary_rows_from_buffer(
                self._held, self._position, len(self._held), tuple(columns), number, rows
            )
        except MySQLError:
            raise pymysql.err.InternalError("a row can't be read") from None
        return number

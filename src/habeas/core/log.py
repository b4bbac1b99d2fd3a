"""What habeas logs, and the filter that keeps personal data out of it. Sets up once per process, at the edge.

Lines are JSON, or readable text on a terminal. A line carries a message fixed in the code and named details
from a closed list (`DETAILS`): ids, addresses, counts, codes, times. Any other detail is dropped and only its
name shown, so a value can't slip in under a new name. Query strings go, and of exceptions only classes and
places are shown; messages only of our own errors, which hold no values by rule. Records of libraries pass the
same filter, at warning and above.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

from habeas.core.errors import HabeasError

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.stdlib import BoundLogger
    from structlog.typing import ExcInfo, Processor

Event = MutableMapping[str, Any]

_OWN = frozenset({"event", "level", "logger", "timestamp", "exception", "withheld"})

DETAILS = frozenset(
    {
        "action", "address", "attempt", "client_id", "code", "cohort_id", "collection", "connection", "count",
        "dataset", "digest", "dialect", "epoch", "executor_id", "field", "fix", "host", "http_status", "kind",
        "members", "method", "outcome", "path", "pid", "plan", "policy", "port", "reason", "receipt", "request_id",
        "rows", "seconds", "segment", "setting", "signal", "size", "stage", "status", "step", "version", "where",
        "workflow_id",
    }
)  # fmt: skip
"""Names of details that hold no personal data, whoever logs them."""

_QUERY = re.compile(r"(?<=[\w/.\-~%])\?[^\s\"')]+")
_SECRET_IN_URL = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")


def configure_logging(level: str = "INFO", *, stream: TextIO | None = None, as_json: bool | None = None) -> None:
    """Send all logs of this process to `stream` (stderr if None). Call again to change it.

    `as_json` None: JSON unless the stream is a terminal. Library records below WARNING are dropped.
    """
    import structlog

    target = stream if stream is not None else sys.stderr
    structured = not target.isatty() if as_json is None else as_json
    renderer: Processor = (
        structlog.processors.JSONRenderer() if structured else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_with_exc_info, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("habeas").setLevel(level)


class _Handler(logging.StreamHandler[TextIO]):
    """Where the stream fails, as a closed pipe does, nothing is printed: the library would print the exception that is
    in hand, with its text and its place, past our filter.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 – the library's name
        """Lose the line."""


def get_logger(name: str) -> BoundLogger:
    """The logger of one module (`__name__`), lazily bound. Details are keyword arguments named in `DETAILS`."""
    import structlog

    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """The filter, as a structlog processor: unknown details by name only, no query strings, no foreign messages."""
    info = event.pop("exc_info", None)
    unknown = sorted(key for key in event if key not in _OWN and key not in DETAILS and not key.startswith("_"))
    for key in unknown:
        del event[key]
    if unknown:
        event["withheld"] = unknown
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_query(value)
    places = _places(info)
    if places:
        event["exception"] = places
    return event


def without_query(text: str) -> str:
    """The text with query strings and passwords of URLs cut out."""
    return _SECRET_IN_URL.sub(r"\1:…@", _QUERY.sub("", text))


def _with_exc_info(_logger: object, _method: str, event: Event) -> Event:
    """The library record's exception goes through our filter, not through the formatter's own printing."""
    record: logging.LogRecord = event["_record"]
    if record.exc_info:
        event["exc_info"] = record.exc_info
        record.exc_info = None
        record.exc_text = None
    return event


def _places(info: ExcInfo | BaseException | bool | None) -> list[str]:
    """An exception and its causes as `Class at file:line`, with the message of our own errors only."""
    error: BaseException | None
    if isinstance(info, BaseException):
        error = info
    elif isinstance(info, tuple):
        error = info[1]
    else:
        error = sys.exc_info()[1] if info else None
    chain: list[str] = []
    while error is not None and len(chain) < 8:
        said = f": {error}" if isinstance(error, HabeasError) else ""
        chain.append(f"{type(error).__name__}{_place(error.__traceback__)}{said}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    if not frames:
        return ""
    shown = " < ".join(f"{_module(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-6:]))
    return f" at {shown}"


def _module(filename: str) -> str:
    """The end of the path that names the code; where the installation lies is nobody's business."""
    return "/".join(filename.replace("\\", "/").split("/")[-2:])

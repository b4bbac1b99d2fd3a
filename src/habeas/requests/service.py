"""What the edges may do with privacy requests, on one page. Each verb is explained where it is defined.

API, command line and protocols call these and nothing else of the requests' machinery; none of them executes
a request: that is the worker's.
"""

from habeas.requests.bulk import Bulk, Failure, Page
from habeas.requests.export import export_csv, export_jsonl
from habeas.requests.forgetting import purge
from habeas.requests.intake import resubmit, submit
from habeas.requests.manual import confirm_erasure, give_rows
from habeas.requests.preview import Preview, explain, preview
from habeas.requests.review import (
    approve,
    cancel,
    count_workers,
    deny,
    is_paused,
    pause_all,
    resume,
    resume_all,
    retry,
    soft_delete,
)
from habeas.requests.review_many import decide_many, preview_decision
from habeas.requests.search import RequestFilter, find, logs, plan, read_request, receipt
from habeas.requests.verification import resend, told_config, verify

__all__ = [
    "Bulk",
    "Failure",
    "Page",
    "Preview",
    "RequestFilter",
    "approve",
    "cancel",
    "confirm_erasure",
    "count_workers",
    "decide_many",
    "deny",
    "explain",
    "export_csv",
    "export_jsonl",
    "find",
    "give_rows",
    "is_paused",
    "logs",
    "pause_all",
    "plan",
    "preview",
    "preview_decision",
    "purge",
    "read_request",
    "receipt",
    "resend",
    "resubmit",
    "resume",
    "resume_all",
    "retry",
    "soft_delete",
    "submit",
    "told_config",
    "verify",
]

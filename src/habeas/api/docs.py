"""The API's documentation as one page without scripts, made from the OpenAPI document.

Needs no outside host: the policy that goes with it allows its own style sheet and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}details{border:1px solid #ddd;border-radius:6px;margin:.5rem 0}
summary{padding:.5rem .75rem;cursor:pointer}details>div{padding:0 .75rem .75rem}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f5f6f8;padding:.75rem;overflow:auto}
.method{display:inline-block;min-width:4.5rem;font-weight:700}.scope{float:right;color:#57606a}
table{border-collapse:collapse}td,th{border:1px solid #ddd;padding:.25rem .5rem;text-align:left;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#14171a}pre{background:#1f2429}
details,td,th{border-color:#3a4046}.scope{color:#9aa4ae}a{color:#8ab4f8}}
"""

STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

Document = Mapping[str, Any]


def page_of(document: Document) -> str:
    """The page for an OpenAPI document; all its words are escaped."""
    title = escape(document["info"]["title"])
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{title} {escape(document['info']['version'])}</h1>"
        f"<p>{escape(document['info'].get('description', ''))}</p>"
        '<p>The same as data: <a href="/openapi.json">openapi.json</a></p>'
    ]
    for tag, operations in _by_tag(document).items():
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts.extend(_operation(document, *operation) for operation in operations)
    parts.append("</body></html>")
    return "".join(parts)


def _by_tag(document: Document) -> dict[str, list[tuple[str, str, Document]]]:
    found: dict[str, list[tuple[str, str, Document]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["Other"])[0]
            found.setdefault(tag, []).append((method.upper(), path, operation))
    return found


def _operation(document: Document, method: str, path: str, operation: Document) -> str:
    scopes = [scope for each in operation.get("security", ()) for names in each.values() for scope in names]
    shown = f'<span class="scope">{escape(", ".join(scopes))}</span>' if scopes else '<span class="scope">open</span>'
    return "".join(
        [
            f'<details id="{escape(operation["operationId"])}"><summary>{shown}<span class="method">{method}</span>'
            f"<code>{escape(path)}</code></summary><div><p>{escape(operation.get('description', ''))}</p>",
            _parameters(operation),
            *(_body("Body", document, operation.get("requestBody"))),
            *(_body("Answer", document, _success(operation))),
            "</div></details>",
        ]
    )


def _parameters(operation: Document) -> str:
    rows = [
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{'required' if each.get('required') else ''}</td><td>{escape(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", ())
    ]
    return f"<table><tr><th>name</th><th>in</th><th></th><th></th></tr>{''.join(rows)}</table>" if rows else ""


def _success(operation: Document) -> Document | None:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            found: Document = answer
            return found
    return None


def _body(title: str, document: Document, holder: Document | None) -> Iterator[str]:
    for media_type, content in (holder or {}).get("content", {}).items():
        schema = _expanded(document, content.get("schema", {}), 4)
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        yield f"<h4>{title} <code>{escape(media_type)}</code></h4><pre>{escape(text)}</pre>"


def _expanded(document: Document, schema: Any, depth: int) -> Any:
    """The schema with its references filled in, up to a depth."""
    if isinstance(schema, list):
        return [_expanded(document, each, depth) for each in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if depth == 0:
            return {"title": name}
        return _expanded(document, document["components"]["schemas"][name], depth - 1)
    return {key: _expanded(document, value, depth) for key, value in schema.items()}

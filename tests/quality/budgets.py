"""The style budgets of the project, as a function from source text to the places that break them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE_LINES = 500
FUNCTION_LINES = 60
NESTING = 3
COMPLEXITY = 12
BANNED_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"})

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert, ast.IfExp, ast.match_case)
WAIVER = re.compile(r"#\s*(noqa|type:\s*ignore|pragma)(?P<rest>.*)")
REASONED = re.compile(r"(:\s*[A-Z]+[0-9]+(\s*,\s*[A-Z]+[0-9]+)*|\[[\w,\s-]+\]|:\s*no cover)\W+\w.{6,}")
UNFINISHED = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")


class Breach(NamedTuple):
    """One place over budget."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def breaches(path: Path, text: str) -> Iterator[Breach]:
    """All places in one module that are over budget, in no particular order."""
    tree = ast.parse(text)
    lines = text.count("\n") + 1
    if lines > FILE_LINES:
        yield Breach(path, 1, f"{lines} lines, budget {FILE_LINES}")
    if text.strip() and not ast.get_docstring(tree):
        yield Breach(path, 1, "module without a docstring")
    if BANNED_NAMES & {path.stem, *path.parent.parts}:
        yield Breach(path, 1, "named after no noun of the glossary")
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield from _function(path, node)
    yield from _comments(path, text)


def _function(path: Path, node: Function) -> Iterator[Breach]:
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring
    if lines > FUNCTION_LINES:
        yield Breach(path, node.lineno, f"{node.name} has {lines} lines, budget {FUNCTION_LINES}")
    if (depth := max(map(_nesting, node.body))) > NESTING:
        yield Breach(path, node.lineno, f"{node.name} nests {depth} deep, budget {NESTING}")
    if (paths := 1 + sum(map(_branches, node.body))) > COMPLEXITY:
        yield Breach(path, node.lineno, f"{node.name} has complexity {paths}, budget {COMPLEXITY}")


def _nesting(node: ast.AST) -> int:
    """Depth of blocks within `node`; `elif` is no deeper than its `if`, nested functions count on their own."""
    if isinstance(node, Function | ast.Lambda | ast.ClassDef):
        return 0
    chained = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    elif_branch = node.orelse[0] if chained else None
    inner = [_nesting(child) - (child is elif_branch) for child in ast.iter_child_nodes(node)]
    return max(inner, default=0) + isinstance(node, BLOCKS)


def _branches(node: ast.AST) -> int:
    if isinstance(node, Function | ast.Lambda | ast.ClassDef):
        return 0
    own = int(isinstance(node, BRANCHES))
    if isinstance(node, ast.BoolOp):
        own = len(node.values) - 1
    elif isinstance(node, ast.comprehension):
        own = 1 + len(node.ifs)
    return own + sum(map(_branches, ast.iter_child_nodes(node)))


def _comments(path: Path, text: str) -> Iterator[Breach]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        if UNFINISHED.search(token.string):
            yield Breach(path, token.start[0], "a mark of unfinished work")
        waiver = WAIVER.search(token.string)
        if waiver and not REASONED.match(waiver["rest"]):
            yield Breach(path, token.start[0], "a waiver without its code and reason")

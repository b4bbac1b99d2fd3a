"""Datasets from YAML or JSON text, or from a parsed body: the model, or every problem at once with its place.

A file written for fides or fidesops loads unchanged. Nothing is looked up outside the text: whether
references lead anywhere is `check`'s question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from habeas.dataset.model import Dataset
from habeas.dataset.node import Findings, Node, replace_place
from habeas.dataset.problem import DatasetProblems, Loc, Problem
from habeas.dataset.reader import read_dataset
from habeas.dataset.text import Document, read_text

__all__ = [
    "DatasetProblems",
    "Loaded",
    "Problem",
    "dataset_from",
    "declared_categories",
    "load_datasets",
    "load_yaml",
    "read_datasets",
    "read_document",
]


@dataclass(frozen=True)
class Loaded:
    """Datasets read without error, their warnings, and where each stands in its document."""

    datasets: tuple[Dataset, ...]
    warnings: tuple[Problem, ...]
    document: Document
    locs: Mapping[str, Loc] = field(default_factory=dict)

    def place(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems that `check` found, with line and column where they lie in this document."""
        return [self._place(problem) for problem in problems]

    def _place(self, problem: Problem) -> Problem:
        loc = self.locs.get(problem.dataset or "")
        if loc is None:
            return problem
        place = self.document.place((*loc, *problem.loc))
        line, column = (place.line, place.column) if place else (None, None)
        return replace_place(problem, line=line, column=column, source=self.document.name)


def load_yaml(text: str, name: str) -> object:
    """The plain value of YAML or JSON text, read safely. Raises BadSyntax with line and column."""
    return read_text(text, name).value


def load_datasets(text: str, *, name: str, own: Collection[str] = frozenset()) -> list[Dataset]:
    """The datasets of a text whose top is `dataset:`, a list, or one mapping. `own` are the data categories that it may
    name beside those of the taxonomy; so in the other functions here.

    Raises BadSyntax, or DatasetProblems with everything that is wrong. Warnings are `read_datasets`' to tell.
    """
    return list(read_datasets(text, name=name, own=own).datasets)


def dataset_from(
    document: Mapping[str, Any], *, where: str, loc: Loc = ("body",), own: Collection[str] = frozenset()
) -> Dataset:
    """One dataset from a parsed body. `loc` is the body's own, such as `("body", 0)`: problems' locs begin with it.

    Raises DatasetProblems with everything that is wrong.
    """
    return read_document(document, where=where, loc=loc, own=own).datasets[0]


def read_datasets(text: str, *, name: str, own: Collection[str] = frozenset()) -> Loaded:
    """As `load_datasets`, with warnings and places."""
    document = read_text(text, name)
    findings = Findings(document, own)
    nodes = list(_tops(document.value, findings))
    datasets = tuple(read_dataset(node) for node in nodes)
    seen: set[str] = set()
    for dataset, node in zip(datasets, nodes, strict=True):
        if dataset.fides_key and dataset.fides_key in seen:
            node.note(
                f"the dataset {dataset.fides_key!r} stands here a second time", "fides_key", fix="keep one of them"
            )
        seen.add(dataset.fides_key)
    locs = {dataset.fides_key: node.parts[0][1] for dataset, node in zip(datasets, nodes, strict=True)}
    return _loaded(datasets, findings, locs)


def read_document(
    document: Mapping[str, Any], *, where: str, loc: Loc = ("body",), own: Collection[str] = frozenset()
) -> Loaded:
    """As `dataset_from`, with warnings."""
    findings = Findings(Document(where, document), own)
    dataset = read_dataset(Node(((document, loc),), findings, "", where))
    return _loaded((dataset,), findings, {dataset.fides_key: loc})


def declared_categories(text: str, *, name: str) -> frozenset[str]:
    """The keys that stand under `data_category` of a text, beside its datasets. Raises BadSyntax."""
    top = read_text(text, name).value
    listed = top.get("data_category") if isinstance(top, Mapping) else None
    bodies = listed if isinstance(listed, list) else [listed]
    keys = (body.get("fides_key") for body in bodies if isinstance(body, Mapping))
    return frozenset(key for key in keys if isinstance(key, str))


def warnings_of(dataset: Dataset) -> list[Problem]:
    """The warnings that reading the dataset's own document gives, with locs from its top."""
    if not dataset.raw:
        return []
    findings = Findings(Document("", dataset.raw))
    read_dataset(Node(((dataset.raw, ()),), findings, "", "dataset"))
    return [
        msgspec.structs.replace(problem, dataset=dataset.fides_key)
        for problem in findings.problems
        if problem.severity == "warning"
    ]


def _loaded(datasets: tuple[Dataset, ...], findings: Findings, locs: Mapping[str, Loc]) -> Loaded:
    problems = sorted(findings.problems, key=lambda problem: (problem.line or 0, problem.column or 0))
    if any(problem.severity == "error" for problem in problems):
        raise DatasetProblems([problem for problem in problems if problem.severity == "error"])
    return Loaded(datasets, tuple(problems), findings.document, locs)


def _tops(value: object, findings: Findings) -> Iterable[Node]:
    """The mappings that should be datasets. Other kinds of resources beside `dataset` are let alone."""
    if isinstance(value, Mapping) and "dataset" not in value and not {"fides_key", "collections"} & value.keys():
        fix = "begin with `dataset:`, then a dash and `fides_key:` for each dataset"
        findings.add(Problem(message="holds no dataset", fix=fix))
        return []
    if isinstance(value, Mapping) and isinstance(value.get("dataset"), Mapping):
        return [Node(((value["dataset"], ("dataset",)),), findings, "", "dataset")]
    if isinstance(value, Mapping) and "dataset" in value:
        return Node(((value, ()),), findings, "").nodes("dataset")
    if isinstance(value, Mapping):
        return [Node(((value, ()),), findings, "", "dataset")]
    if isinstance(value, list):
        nodes = Node((({"dataset": value}, ()),), findings, "").nodes("dataset")
        # a bare list has no key: its elements' locs begin with their index
        return [Node(((node.parts[0][0], node.parts[0][1][1:]),), findings, "", node.trail) for node in nodes]
    findings.add(Problem(message="holds no dataset", fix="begin with `dataset:` and a list"))
    return []

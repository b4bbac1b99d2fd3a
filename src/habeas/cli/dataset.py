"""`habeas dataset`: checks dataset files, and drafts a dataset from a live schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from habeas.dataset.load import Loaded
    from habeas.dataset.model import Dataset
    from habeas.dataset.problem import Problem


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Datasets: what lies where.", no_args_is_help=True)
    commands.command()(check)
    commands.command()(draft)
    app.add_typer(commands, name="dataset")


@placed
def check(
    place: Place,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON files, checked together.")],
    stored: Annotated[
        bool | None, typer.Option("--stored/--no-stored", help="Check with all stored datasets; if there are any.")
    ] = None,
) -> None:
    """Check datasets: form, categories, references, what no identity reaches. Exit code 1 on errors."""
    from habeas.cli.client import has_installation
    from habeas.cli.output import Exit, answer, stop

    is_asked = has_installation(place) if stored is None else stored
    others, own = _stored(place) if is_asked else ([], frozenset())
    problems = _problems(files, others, own)
    errors = [each for each in problems if each.severity == "error"]
    told = {"errors": len(errors), "warnings": len(problems) - len(errors), "problems": [_told(p) for p in problems]}
    lines = [f"{each.severity}: {each}" for each in problems]
    lines.append(f"{told['errors']} errors, {told['warnings']} warnings")
    answer(place.as_json, told, lambda out: out.print("\n".join(lines), markup=False))
    if errors:
        stop(Exit.PROBLEM)


@placed
def draft(
    place: Place,
    connection: Annotated[str, typer.Argument(help="Key of a connection.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
    key: Annotated[str | None, typer.Option(help="The dataset's fides_key, if not the connection's key.")] = None,
    schema: Annotated[str | None, typer.Option(help="Schema of the database, if not its default.")] = None,
) -> None:
    """A dataset for a live schema: collections, fields, keys and references. Fill in the data categories."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, say

    with open_client(place) as client:
        told = client.get(f"/connection/{connection}/draft_dataset", schema=schema, fides_key=key)
    text: str = told["yaml"]
    if place.as_json:
        answer(True, told, lambda _: None)
    elif output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"written to {output}; fill in data_categories, then: habeas dataset check {output}")


def _stored(place: Place) -> tuple[list[Dataset], frozenset[str]]:
    """The stored datasets, and the data categories that were added to the taxonomy."""
    from habeas.cli.apply import stored_datasets
    from habeas.cli.category import own_categories
    from habeas.cli.client import open_client
    from habeas.dataset.load import dataset_from

    with open_client(place) as client:
        own = own_categories(client)
        stored = stored_datasets(client).items()
        return [dataset_from(body, where=f"stored {key}", own=own) for key, (_, body) in stored], own


def _read(files: list[Path], own: frozenset[str]) -> tuple[list[Loaded], list[Problem]]:
    """The files that can be read, and what is wrong with the others. Categories may be `own`, or declared by a file."""
    from habeas.cli.declaration import read_file
    from habeas.dataset.load import declared_categories, read_datasets
    from habeas.dataset.problem import DatasetProblems

    found: list[Problem] = []
    loaded = []
    texts = {str(file): read_file(file) for file in files}
    known = own.union(*(declared_categories(text, name=name) for name, text in texts.items()))
    for name, text in texts.items():
        try:
            loaded.append(read_datasets(text, name=name, own=known))
        except DatasetProblems as problems:
            found += problems.problems
    return loaded, found


def _problems(files: list[Path], stored: list[Dataset], categories: frozenset[str]) -> list[Problem]:
    """All problems of the files, in the order of their text; those of stored datasets alone are left out."""
    from habeas.dataset.check import check_datasets

    loaded, found = _read(files, categories)
    own = [dataset for each in loaded for dataset in each.datasets]
    keys = {dataset.fides_key for dataset in own}
    together = check_datasets([*own, *(dataset for dataset in stored if dataset.fides_key not in keys)])
    for each in loaded:
        mine = {dataset.fides_key for dataset in each.datasets}
        found += each.warnings
        found += each.place([problem for problem in together if problem.dataset in mine])
    return found


def _told(problem: Problem) -> dict[str, Any]:
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(problem)
    return told

"""Files that declare an installation: their shape, and faults named by file, line and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from habeas.cli.declaration import read_declaration
from habeas.core.errors import BadInput, BadSyntax

GOOD = """\
connections:
  - key: shop
    name: Shop
    connection_type: sqlite
    access: write
    datasets: [shop_tables]
dataset:
  - fides_key: shop_tables
    collections: []
  - fides_key: support
    collections: []
policy:
  key: download_it
  name: Download
  rules:
    - key: hand_over
      action_type: access
      targets: [user]
"""


def _read(tmp_path: Path, *texts: str) -> object:
    files = []
    for number, text in enumerate(texts):
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(text)
    return read_declaration(files)


def test_singular_and_plural_lists_and_single_objects_are_read(tmp_path: Path) -> None:
    found = _read(tmp_path, GOOD, "connection: {key: support, name: Support}")
    assert list(found.connections) == ["shop", "support"]
    assert list(found.policies) == ["download_it"]
    assert found.where["datasets", "support"].endswith("0.yml:10")


def test_a_dataset_belongs_to_the_connection_that_lists_it_else_to_its_namesake(tmp_path: Path) -> None:
    found = _read(tmp_path, GOOD, "connection: {key: support, name: Support}")
    assert found.connection_of("shop_tables") == "shop"
    assert found.connection_of("support") == "support"
    assert found.connection_of("other") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("polices: []", r"0\.yml:1: unknown key 'polices' – did you mean policies\?"),
        ("connections:\n  - key: a\n    nme: A\n", r"0\.yml:3: unknown key 'nme' – did you mean name\?"),
        ("policy:\n  key: a\n  rules:\n    - key: r\n      target: [user]\n", r"0\.yml:5: .*'target'.*targets"),
        ("connections:\n  - name: A\n", r"has no key"),
        ("connections:\n  - text\n", "no mapping"),
        ("- a\n", "no mapping"),
        ("policy: {key: a, rules: [{name: r}]}", "a rule has no key"),
        ("policy: {key: a, rules: {}}", "no list of mappings"),
    ],
)
def test_faults_say_where_and_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        _read(tmp_path, text)


def test_what_is_declared_twice_is_refused_across_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"1\.yml:1: shop is declared twice – see .*0\.yml:2"):
        _read(tmp_path, GOOD, "connection: {key: shop}")


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "!!python/object:os.system {}"])
def test_bad_yaml_is_bad_syntax(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSyntax):
        _read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        read_declaration([tmp_path / "none.yml"])

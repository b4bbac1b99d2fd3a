"""The code keeps its budgets; and the checker of the budgets finds what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from quality.budgets import breaches

ROOT = Path(__file__).resolve().parents[2]


def test_every_module_keeps_the_budgets() -> None:
    found = [
        str(breach)
        for path in sorted((ROOT / "src" / "habeas").rglob("*.py"))
        for breach in breaches(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_tests_and_benches_are_not_overlong_either() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for folder in ("tests", "bench")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := path.read_text(encoding="utf-8").count("\n")) > 600
    ]
    assert not long, "\n".join(long)


DEEP = """'D.'
def f(x):
    if x:
        for a in x:
            while a:
                if a:
                    pass
"""
ELIF = (
    '"""D."""\ndef f(x):\n'
    + "    if x == 0:\n        pass\n"
    + "".join(f"    elif x == {n}:\n        pass\n" for n in range(1, 9))
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1\n", "module without a docstring"),
        ('"""D."""\n' + "x = 1\n" * 500, "lines, budget 500"),
        ('"""D."""\ndef f():\n' + "    x = 1\n" * 60, "f has 61 lines"),
        (DEEP, "nests 4 deep"),
        ('"""D."""\ndef f(x):\n    return [' + " or ".join("x" * 13) + "]\n", "complexity 13"),
        ('"""D."""\n# TODO: later\n', "unfinished"),
        ('"""D."""\nx = 1  # noqa: E501\n', "waiver"),
        ('"""D."""\nx = 1  # type: ignore\n', "waiver"),
        ('"""D."""\nx = 1  # type: ignore[assignment]\n', "waiver"),
    ],
)
def test_the_checker_finds_it(text: str, what: str) -> None:
    assert any(what in str(breach) for breach in breaches(Path("x/y.py"), text))


@pytest.mark.parametrize(
    "text",
    [
        ELIF,
        '"""D."""\nx = 1  # noqa: E501 – the address is one word\n',
        '"""D."""\nx = 1  # type: ignore[assignment]  # the stub of the library is wrong\n',
        '"""D."""\ndef f():\n    """' + "d\n" * 80 + '    """\n    return 1\n',
    ],
)
def test_the_checker_lets_it_pass(text: str) -> None:
    assert not list(breaches(Path("x/y.py"), text))


def test_the_checker_knows_names_that_say_nothing() -> None:
    assert list(breaches(Path("src/habeas/core/utils.py"), '"""D."""\n'))

"""Invented people and the ways their identities are written down: variants that are the same, decoys that aren't."""

from __future__ import annotations

import random
from dataclasses import dataclass

WORDS = ("ada", "bo", "cy", "dee", "eva", "fay", "gus", "hal", "straße", "josé")


@dataclass(frozen=True)
class Person:
    """One invented person. Numbers are of the reserved range +1 202 555 01xx."""

    number: int
    email: str
    phone: str
    loyalty: int


def invent(rng: random.Random, count: int) -> list[Person]:
    """People whose e-mails and numbers differ, some by one character only."""
    stem = rng.choice(WORDS)
    found = []
    for number in range(count):
        word = stem if rng.random() < 0.5 else rng.choice(WORDS)
        found.append(
            Person(
                number,
                f"{word}.{number}@example.com",
                f"+120255501{number:02}",
                (-7, 0, 41, 412, 4120, 9, 77, 8)[number] if number < 8 else 1000 + number,
            )
        )
    return found


def email_variant(rng: random.Random, email: str) -> str:
    """The same address, written otherwise."""
    forms = (
        email.upper() if "ß" not in email else email.title(),
        f" {email}",
        f"{email}  ",
        email.replace("example", "Example"),
        email.replace("é", "e\u0301").replace("ß", "SS"),
        f"\t{email}",
    )
    return rng.choice(forms)


def email_decoy(rng: random.Random, email: str) -> str:
    """An address that is somebody else's, one character away."""
    name, domain = email.split("@")
    forms = (
        f"{name}0@{domain}",
        f"x{name}@{domain}",
        f"{name}@{domain[:-1]}",
        f"{name}@{domain}.net",
        f"{name.replace('.', '-')}@{domain}",
        f"{name.replace('.', '_')}@{domain}",
        f"{name}%@{domain}",
        f"{name[0]} {name[1:]}@{domain}",
    )
    return rng.choice(forms)


def phone_variant(rng: random.Random, phone: str) -> str:
    """The same number, written otherwise."""
    area, rest, last = phone[2:5], phone[5:8], phone[8:]
    return rng.choice(
        (
            f"({area}) {rest}-{last}",
            f"{area}.{rest}.{last}",
            f"1-{area}-{rest}-{last}",
            f"+1 {area} {rest} {last}",
            f"{area}{rest}{last}",
        )
    )


def phone_decoy(rng: random.Random, phone: str) -> str:
    """A number that is somebody else's."""
    area, rest, last = phone[2:5], phone[5:8], phone[8:]
    return rng.choice((f"{phone} ext. 5", f"+44 20 7946 0{last[-3:]}", f"{area}{rest}{last}9", f"301{rest}{last}"))

"""Messages about a request's end, through the whole flow."""

from __future__ import annotations

from pathlib import Path

from flowbook import flowing
from mailbook import mail_server, settings_for

from .conftest import DATASET, make_people


def test_whoever_asked_is_told_when_it_is_done(tmp_path: Path) -> None:
    place = tmp_path / "shop.db"
    make_people(place)
    with mail_server() as box:
        settings = settings_for(box, send_request_completion_notification=True, message_language="de")
        with flowing(tmp_path / "data", **settings) as flow:
            flow.api.connect("shop", "sqlite", {"url": f"sqlite:///{place}"})
            flow.api.describe("shop", DATASET)
            flow.api.access_policy("both", ["user"])
            flow.api.erasure_policy("both", ["user"])
            request_id = flow.api.run("both", {"email": "ada@example.com"})["id"]
            letters = box.await_letters("ada@example.com", 2)
    assert [letter["Subject"] for letter in letters] == ["Ihre Daten liegen bereit", "Ihre Daten wurden gelöscht"]
    assert all(request_id in letter.get_content() for letter in letters)
    assert all("0101" not in letter.get_content() for letter in letters)

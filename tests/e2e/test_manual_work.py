"""What people do for a request, over HTTP with real processes: nothing of it is lost by kill -9."""

from __future__ import annotations

from pathlib import Path

from serving import serving

ADA = {"email": "ada@example.com"}


def test_an_answer_outlives_a_kill_between_it_and_the_run(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        api = server.api
        desk = {"name": "desk", "key": "desk", "connection_type": "manual_webhook", "access": "read"}
        api.patch_all("/connection", [desk])
        api.call("POST", "/connection/desk/access_manual_webhook", {"fields": [{"pii_field": "Last Name"}]})
        (request_id,) = api.submit("download", ADA)
        assert api.wait(request_id)["reason"] == "manual"
        api.call("PATCH", f"/privacy-request/{request_id}/access_manual_webhook/desk", {"last_name": "Lovelace"})
        server.kill()
        server.start()
        assert api.show(request_id)["status"] == "requires_input"
        api.call("POST", f"/privacy-request/{request_id}/resume_from_requires_input")
        server.kill()
        server.start()
        assert api.wait(request_id)["outcome"] == "delivered"
        assert server.package(request_id) == {"desk": [{"last_name": "Lovelace"}]}

"""`habeas user`: people who sign in: invited, listed, given roles, removed. Never asks for or shows a password."""

from __future__ import annotations

from typing import Annotated

import typer

from habeas.cli.options import Place, placed

UserId = Annotated[str, typer.Argument(help="Id of the user, as `habeas user list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="People who sign in.", no_args_is_help=True)
    commands.command()(invite)
    commands.command("list")(list_users)
    commands.command()(permit)
    commands.command()(remove)
    app.add_typer(commands, name="user")


@placed
def invite(
    place: Place,
    username: Annotated[str, typer.Argument(help="Name of a new user, or of one who is to choose a new password.")],
    role: Annotated[list[str] | None, typer.Option(help="Role of a new user; may be given several times.")] = None,
) -> None:
    """Invite somebody: makes the user unless there is one, and says the code with which a password is set, once."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        known = client.pages("/user", username=username)
        found = next((each for each in known if each["username"].casefold() == username.casefold()), None)
        if found is None:
            told = client.call("POST", "/user", json={"username": username})
            if role:
                client.call("PUT", f"/user/{told['id']}/permission", json={"roles": role})
        else:
            told = client.call("POST", f"/user/{found['id']}/invite")
    line = f"{told['id']}: the code {told['invite_code']} sets a password until {told['invite_expires_at']}"
    answer(place.as_json, told, lambda out: out.print(line, markup=False, soft_wrap=True))


@placed
def list_users(
    place: Place,
    username: Annotated[str | None, typer.Option(help="A part of the name.")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """Users, newest first."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = client.get("/user", username=username, page=page, size=size)
    columns = ("id", "username", "status", "roles", "last_login_at")
    rows = [
        [each["id"], each["username"], each["status"], ", ".join(each["roles"]), each["last_login_at"] or ""]
        for each in found["items"]
    ]
    answer(place.as_json, found, table(columns, rows, empty="There are no such users."))


@placed
def permit(
    place: Place,
    user_id: UserId,
    role: Annotated[list[str], typer.Option(help="owner, contributor, viewer, approver, …; may be repeated.")],
) -> None:
    """Give a user these roles in place of all that it had; its sessions end."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        told = client.call("PUT", f"/user/{user_id}/permission", json={"roles": role})
    line = f"{user_id} is {', '.join(told['roles'])}"
    answer(place.as_json, told, lambda out: out.print(line, markup=False))


@placed
def remove(place: Place, user_id: UserId) -> None:
    """Delete a user; all its sessions end."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        client.call("DELETE", f"/user/{user_id}")
    answer(place.as_json, {"id": user_id}, lambda out: out.print(f"{user_id} is deleted", markup=False))

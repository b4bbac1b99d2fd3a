"""Users: the people who operate habeas, their names, permissions and invitations.

A user holds roles and scopes; nobody gives away what he lacks, nor changes whoever holds more. A changed password or
changed permissions end all of the user's sessions. Answers never hold a password or its hash. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, RowMapping

from habeas.core.errors import BadInput, Conflict, Forbidden, NotFound, Unauthorised
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor, check_scopes
from habeas.requests.means import Means
from habeas.requests.passwords import hash_password, is_password
from habeas.requests.scopes import OWN_PASSWORD, ROLES, held
from habeas.store import audit
from habeas.store import users as store
from habeas.store.session import new_id

INVITED_FOR = timedelta(days=7)
NEW_USERS_SCOPES = ("privacy-request:read", OWN_PASSWORD)


class NameTaken(Conflict):
    """There is a user of that name already (fidesops answers 400)."""

    status: ClassVar[int] = 400


class AlreadyPermitted(Conflict):
    """Permissions were set before (fidesops answers 400)."""

    status: ClassVar[int] = 400


def name_key(username: str) -> str:
    """The name folded, by which names are compared: case and forms of a character make no difference."""
    return unicodedata.normalize("NFKC", username).casefold()[:255]


def create_user(
    means: Means, actor: Actor, username: str, *, password: str | None, names: Mapping[str, str | None]
) -> dict[str, Any]:
    """A new user who may read requests. Without a password an invitation is made: `{id, invite_code, …}`.

    Raises BadInput for a password that breaks a rule, NameTaken.
    """
    hashed = None if password is None else hash_password(password, username=username, where="password")
    user_id = new_id("fid")
    values: dict[str, Any] = {"id": user_id, "username": username, "username_key": name_key(username), **names}
    values |= {"password_hash": hashed, "roles": [], "permitted": False}
    values["scopes"] = [scope for scope in NEW_USERS_SCOPES if scope in actor.scopes]
    told: dict[str, Any] = {"id": user_id}
    if hashed is None:
        told |= _invite(means, values)
    with means.database.begin() as connection:
        if not store.add(connection, values, means.clock.now()):
            raise NameTaken("Username already exists.", where="username")
        how = {"invited": hashed is None}
        audit.append(connection, means.clock, actor.client_id, "user.created", user_id, how)
    return told


def invite(means: Means, actor: Actor, user_id: str) -> dict[str, Any]:
    """Another invitation, for a user who never came or forgot the password; the one before works no more.

    Raises NotFound, Forbidden for a user who holds more than the actor.
    """
    values: dict[str, Any] = {}
    told = {"id": user_id} | _invite(means, values)
    with means.database.begin() as connection:
        _check_reach(actor, _found(connection, user_id))
        store.change(connection, user_id, values, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "user.invited", user_id, None)
    return told


def list_users(means: Means, username: str | None, page: int, size: int) -> Page:
    """Users whose name holds that text, newest first."""
    with means.database.read() as connection:
        part = name_key(username) if username else None
        rows, total = store.page(connection, part, offset=(page - 1) * size, limit=size)
    return Page([described(row) for row in rows], total, page, size)


def read_user(means: Means, user_id: str) -> dict[str, Any]:
    """One user; raises NotFound."""
    with means.database.read() as connection:
        return described(_found(connection, user_id))


def rename_user(means: Means, actor: Actor, user_id: str, names: Mapping[str, str | None]) -> dict[str, Any]:
    """Change first and last name, the actor's own or those of a user who holds no more. Raises NotFound, Forbidden."""
    with means.database.begin() as connection:
        _check_reach(actor, _found(connection, user_id))
        store.change(connection, user_id, names, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "user.renamed", user_id, None)
        return described(_found(connection, user_id))


def delete_user(means: Means, actor: Actor, user_id: str) -> None:
    """Remove a user; all sessions end at once. Raises NotFound, Forbidden for a user who holds more than the actor."""
    with means.database.begin() as connection:
        _check_reach(actor, _found(connection, user_id))
        store.remove(connection, user_id)
        audit.append(connection, means.clock, actor.client_id, "user.deleted", user_id, None)


def change_password(means: Means, actor: Actor, user_id: str, old: str, new: str) -> dict[str, Any]:
    """Change one's own password; all sessions end. Raises Unauthorised for another's or a wrong old one, BadInput."""
    with means.database.read() as connection:
        row = store.find(connection, actor.client_id)
    if row is None or user_id != actor.client_id:
        raise Unauthorised("You are only authorized to update your own user data.")
    if not is_password(old, row["password_hash"]):
        raise Unauthorised("Incorrect password.", where="old_password")
    hashed = hash_password(new, username=row["username"], where="new_password")
    with means.database.begin() as connection:
        now = means.clock.now()
        current = store.find_locked(connection, user_id)
        if current is None or current["password_hash"] != row["password_hash"]:
            raise Conflict("the password was changed meanwhile", where="old_password", fix="sign in again")
        set_password(connection, means, user_id, hashed)
        audit.append(connection, means.clock, actor.client_id, "user.password", user_id, None)
        return described(current) | {"updated_at": now}


def set_password(connection: Connection, means: Means, user_id: str, hashed: str) -> None:
    """Store a hash that `hash_password` made: sessions and an open invitation end with the old one."""
    now = means.clock.now()
    values = {"password_hash": hashed, "password_reset_at": now, "invite_digest": None, "invite_expires_at": None}
    store.change(connection, user_id, values, now)
    store.end_sessions(connection, user_id)


def read_permissions(means: Means, user_id: str) -> dict[str, Any]:
    """`{id, user_id, scopes, roles}`; `scopes` are all that the user holds now. Raises NotFound."""
    with means.database.read() as connection:
        return _permissions(_found(connection, user_id))


def set_permissions(
    means: Means, actor: Actor, user_id: str, scopes: Sequence[str], roles: Sequence[str], *, first: bool
) -> dict[str, Any]:
    """Give a user these scopes and roles in place of what it had; its sessions end. `first`: only if never set before.

    Raises NotFound, BadInput for unknown words, Forbidden where the actor lacks any, before or after; AlreadyPermitted.
    """
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise BadInput("names an unknown role", where="roles", fix=f"the roles are {', '.join(ROLES)}")
    check_scopes(actor, scopes)
    lacking = sorted(held((), roles) - actor.scopes)
    if lacking:
        raise Forbidden(f"you don't hold {', '.join(lacking)}", where="roles", fix="scopes can only be narrowed")
    with means.database.begin() as connection:
        row = store.find_locked(connection, user_id)
        if row is None:
            raise NotFound(f"No user found with id {user_id[:64]}.", where="user_id")
        if first and row["permitted"]:
            raise AlreadyPermitted("This user already has permissions set.", fix="PUT replaces them")
        _check_reach(actor, row)
        values = {"scopes": sorted(set(scopes)), "roles": sorted(set(roles)), "permitted": True}
        store.change(connection, user_id, values, means.clock.now())
        store.end_sessions(connection, user_id)
        detail = {"scopes": values["scopes"], "roles": values["roles"]}
        audit.append(connection, means.clock, actor.client_id, "user.permitted", user_id, detail)
        return _permissions(_found(connection, user_id))


def described(row: RowMapping) -> dict[str, Any]:
    """A user as shown."""
    shown = ("id", "username", "created_at", "updated_at", "first_name", "last_name", "last_login_at", "roles")
    return {name: row[name] for name in shown} | {"status": "active" if row["password_hash"] else "invited"}


def invite_digest(code: str) -> str:
    """What is kept of an invitation's code, which is 256 random bits."""
    return hashlib.sha256(code.encode()).hexdigest()


def _invite(means: Means, values: dict[str, Any]) -> dict[str, Any]:
    code, until = secrets.token_urlsafe(32), means.clock.now() + INVITED_FOR
    values |= {"invite_digest": invite_digest(code), "invite_expires_at": until}
    return {"invite_code": code, "invite_expires_at": until}


def _permissions(row: RowMapping) -> dict[str, Any]:
    told = {"id": row["id"], "user_id": row["id"], "roles": row["roles"]}
    return told | {"scopes": sorted(held(row["scopes"], row["roles"]))}


def _found(connection: Connection, user_id: str) -> RowMapping:
    row = store.find(connection, user_id)
    if row is None:
        raise NotFound("No user found with this id.", where="user_id")
    return row


def _check_reach(actor: Actor, row: RowMapping) -> None:
    if row["id"] != actor.client_id and not held(row["scopes"], row["roles"]) <= actor.scopes:
        raise Forbidden("this user holds scopes that you don't")

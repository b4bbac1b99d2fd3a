"""Counts calls that fail to prove who is calling, by account and by address, and refuses more of them.

Counts in memory, before anything is asked of the database. Calls that succeed are never counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from habeas.api.access import address
from habeas.api.limits import CallLimit
from habeas.core.errors import Unauthorised
from habeas.requests.sign_in import SignInRefused

T = TypeVar("T")


def limit_failures(request: Request, account: str, call: Callable[[], T]) -> T:
    """Run the call unless too many failed before, for this account from this address or for the address alone.

    Raises TooManyCalls.
    """
    limit: CallLimit = request.app.state.failure_limit
    by_address: CallLimit = request.app.state.address_limit
    place = (address(request),)
    both = (*place, account[:64])
    limit.check(both)
    by_address.check(place)
    try:
        return call()
    except (Unauthorised, SignInRefused):
        limit.count(both)
        by_address.count(place)
        raise

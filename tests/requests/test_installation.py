"""Opening an installation: what is wrong with its settings is said before anything is taken in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from habeas.core.errors import BadInput
from habeas.requests.installation import Installation


def test_another_app_key_ends_the_start_and_a_rotated_one_does_not(opened: Callable[..., Installation]) -> None:
    first = opened()
    first.close()
    kept = (first.settings.data_dir / "app.key").read_text().strip()
    opened(app_encryption_key=f"{'b' * 43},{kept}").close()
    with pytest.raises(BadInput) as caught:
        opened(app_encryption_key="c" * 43)
    assert caught.value.where == "app_encryption_key"
    assert "c" * 43 not in str(caught.value)

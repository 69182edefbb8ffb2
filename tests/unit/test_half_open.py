"""A start that fails half way lets go of what it took, so that the next one can succeed."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import app as apps
from headrace import settings
from headrace.access import keys
from headrace.bus import letters, routing
from headrace.store import ports, sqlite

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (sqlite.SqliteJournal, "open"),
        (sqlite.SqliteRegistry, "open"),
        (letters.Postbox, "open"),
        (routing.Routing, "open"),
    ],
)
async def test_a_start_that_fails_half_way_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str
) -> None:
    config = settings.Settings(port=0, data=tmp_path / "data", sandbox="none")

    def fails(*_: object, **__: object) -> object:
        raise ports.StoreError("half way")

    key = keys.obtain(tmp_path, {}, account=None)
    with monkeypatch.context() as broken:
        broken.setattr(where, name, fails)
        application = apps.App(config, broken=lambda fault: None)
        application.hold()
        with pytest.raises(ports.StoreError, match="half way"):
            await application.open(key.key, first_start=True)
        await application.close()
    again = apps.App(config, broken=lambda fault: None)
    again.hold()
    await again.open(key.key, first_start=False)
    await again.close()

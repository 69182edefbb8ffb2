"""One driver process per SDK and run, one server per module, on a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire import making, native, processes, receivers, sdk


@pytest.fixture(scope="session")
def control_driver(sdk_python: Path) -> Iterator[sdk.Driver]:
    driver = sdk.Driver(sdk_python, "control.py")
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def data_driver(sdk_data_python: Path) -> Iterator[sdk.Driver]:
    driver = sdk.Driver(sdk_data_python, "data.py")
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Server]:
    running = processes.Server(tmp_path_factory.mktemp("server"))
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.close()


@pytest.fixture(scope="module")
def eventbridge(control_driver: sdk.Driver, server: processes.Server) -> sdk.EventBridge:
    return sdk.EventBridge(control_driver, lambda: server.place)


@pytest.fixture(scope="module")
def functions(control_driver: sdk.Driver, server: processes.Server) -> sdk.Functions:
    return sdk.Functions(control_driver, lambda: server.place)


@pytest.fixture(scope="module")
def data_plane(data_driver: sdk.Driver, server: processes.Server) -> sdk.DataPlane:
    return sdk.DataPlane(data_driver, lambda: server.place)


@pytest.fixture(scope="module")
def own_api(server: processes.Server) -> native.Native:
    return native.Native(lambda: server.place)


@pytest.fixture(scope="module")
def receiver() -> Iterator[receivers.Receiver]:
    running = receivers.Receiver()
    yield running
    running.close()


@pytest.fixture
def bus(eventbridge: sdk.EventBridge) -> str:
    """The name of a new event bus."""
    made = making.name("bus")
    eventbridge.create_event_bus(EventBusName=made)
    return made

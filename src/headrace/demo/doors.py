"""What the story needs of the two public APIs, whichever way they are reached.

A door speaks EventBridge and Function Compute on the wire as any client does. Must never know the
story, and never reach the server in another way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

#: Objects of the wire, with the names of the API.
Object = dict[str, Any]


class Place(NamedTuple):
    """Where a server is and the key it is reached with."""

    #: host:port
    endpoint: str
    key_id: str
    secret: str
    region: str


class Refused(Exception):
    """The server answered with an error, or could not be reached."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Door(Protocol):
    """The operations that the story uses. All raise `Refused`."""

    def create_function(self, body: Object) -> Object: ...

    def invoke(self, function: str, payload: str) -> str: ...

    def create_trigger(self, function: str, body: Object) -> Object: ...

    def update_trigger(self, function: str, trigger: str, body: Object) -> Object: ...

    def get_trigger(self, function: str, trigger: str) -> Object: ...

    def eventbridge(self, operation: str, args: Mapping[str, Any]) -> Object:
        """Call the control API (`CreateRule`) and return its `Data`."""
        ...

    def put_events(self, events: Sequence[Object]) -> Object:
        """Publish CloudEvents through the data plane; the answer names each entry."""
        ...

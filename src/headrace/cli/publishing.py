"""Events from options and files, and sending them in batches that any limit of the server takes."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

from headrace.cli import client, failure, options
from headrace.cli.show import output
from headrace.core import httpbinding, jsontext

#: Events of one request: below the cloud's own limits too (strict_limits).
BATCH_EVENTS_MAX: Final = 16
#: And their bytes; a file with more is sent in several requests.
BATCH_BYTES_MAX: Final = 1024 * 1024 - 1024
#: Events of one request against a server with its own, wider limits.
WIDE_EVENTS_MAX: Final = 500
#: And their bytes.
WIDE_BYTES_MAX: Final = 4 * 1024 * 1024
#: How a server with narrower limits refuses a request as a whole, having stored nothing.
_TOO_MUCH: Final = (400, 413)
#: Above so many events progress is shown.
PROGRESS_FROM: Final = 1_000


class Single(NamedTuple):
    """One event as options say it."""

    source: str
    type: str
    data: str | None
    id: str
    subject: str

    @property
    def given(self) -> bool:
        return self != Single("", "", None, "", "")


def built(single: Single) -> str:
    """Return the event of the options as JSON text. Raises: Failure (USAGE)."""
    if not single.source or not single.type:
        raise failure.usage(
            "An event needs --source and --type, or give --file.",
            "headrace event put --source my.app --type hello --data '{\"n\": 1}'",
        )
    fields = {
        "specversion": "1.0",
        "id": single.id or str(uuid.uuid4()),
        "source": single.source,
        "type": single.type,
    }
    if single.subject:
        fields["subject"] = single.subject
    head = json.dumps(fields, ensure_ascii=False)
    if single.data is None:
        return head
    # The text goes in as it is: 1.10 stays 1.10.
    return f'{head[:-1]}, "datacontenttype": "application/json", "data": {_data(single.data)}}}'


def _data(given: str) -> str:
    text = options.text(given, "--data")
    try:
        jsontext.decode(text)
    except jsontext.Malformed as fault:
        raise failure.usage(
            f"--data is not JSON: {fault}", "For text, quote it twice: --data '\"some text\"'"
        ) from fault
    return text


def parsed(text: str) -> list[str]:
    """Return the events of a file: one object, an array of them, or one a line.

    Each is returned as JSON text. Raises: Failure (USAGE), with the line that is none.
    """
    try:
        whole = jsontext.decode(text)
    except jsontext.Malformed:
        return list(_by_line(text))
    found = cast("list[Any]", whole) if isinstance(whole, list) else [whole]
    for number, event in enumerate(found, 1):
        if not isinstance(event, dict):
            raise failure.usage(f"Event {number} of the file is not a JSON object.")
    return [jsontext.compact(event) for event in found]


def _by_line(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event = jsontext.decode(line)
        except jsontext.Malformed as fault:
            raise failure.usage(f"Line {number} of the file is not JSON: {fault}") from fault
        if not isinstance(event, dict):
            raise failure.usage(f"Line {number} of the file is not a JSON object.")
        yield line


def publish(server: client.Client, bus: str, events: Sequence[str]) -> list[dict[str, Any]]:
    """Publish events in order; return one entry each: id and trace_id, or code and message.

    A refusal of a whole request ends it: entries of what came before are lost, so the failure says
    how many events are stored.
    """
    entries: list[dict[str, Any]] = []
    shows = sys.stderr.isatty() and len(events) > PROGRESS_FROM
    for batch in batches(events, WIDE_EVENTS_MAX, WIDE_BYTES_MAX):
        entries += _sent(server, bus, batch, stored=len(entries))
        if shows:
            print(f"\r{len(entries)} of {len(events)} events", end="", file=sys.stderr, flush=True)
    if shows:
        print(file=sys.stderr)
    return entries


def batches(events: Sequence[str], count_max: int, bytes_max: int) -> Iterator[list[bytes]]:
    """Cut events into requests within both bounds; one event larger than the bound goes alone."""
    batch: list[bytes] = []
    size = 0
    for event in events:
        raw = event.encode()
        if batch and (len(batch) >= count_max or size + len(raw) > bytes_max):
            yield batch
            batch, size = [], 0
        batch.append(raw)
        size += len(raw) + 1
    if batch:
        yield batch


def _sent(
    server: client.Client, bus: str, batch: list[bytes], *, stored: int
) -> list[dict[str, Any]]:
    """Send one batch; a server with the cloud's limits gets it in smaller pieces."""
    answer = server.send(
        "POST",
        f"/events/{quote(bus, safe='')}",
        headers={"content-type": httpbinding.BATCHED},
        body=b"[" + b",".join(batch) + b"]",
        refused=True,
    )
    body: Any = jsontext.decode(answer.body) if answer.body[:1] == b"{" else None
    if isinstance(body, dict) and "entries" in body:
        return cast("dict[str, Any]", body)["entries"]
    if answer.status in _TOO_MUCH and len(batch) > BATCH_EVENTS_MAX:
        entries: list[dict[str, Any]] = []
        pieces = batches([raw.decode() for raw in batch], BATCH_EVENTS_MAX, BATCH_BYTES_MAX)
        for piece in pieces:
            entries += _sent(server, bus, piece, stored=stored + len(entries))
        return entries
    if stored:
        output.done(f"{stored} events are stored, the others are not")
    raise client.refusal(answer)


def refusal(entry: dict[str, Any]) -> str:
    """Return why an entry was refused, "" when it is stored."""
    return f"{entry['code']}: {entry['message']}" if "code" in entry else ""

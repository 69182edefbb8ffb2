"""The product under the bench: a real server process on its own data directory, and signed
requests."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from bench.rig import harness, load
from headrace.core import signature

ROOT = Path(__file__).parent.parent.parent


class Product(msgspec.Struct):
    """One running server."""

    host: str
    port: int
    #: The process that serves.
    pid: int
    account: str
    access_key_id: str
    secret: str
    data: str
    #: Its clock is so far ahead of ours; requests are dated by its clock.
    ahead_s: float = 0.0

    def _now(self) -> time.struct_time:
        return time.gmtime(time.time() + self.ahead_s)

    # -- signed requests ---------------------------------------------------------------------------

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        action: str = "",
        version: str = "",
        **more: str,
    ) -> bytes:
        """The bytes of one ACS3-signed request, each with its own nonce."""
        target, _, query = path.partition("?")
        headers = {"host": f"{self.host}:{self.port}", "content-type": "application/json"}
        if action:
            headers |= {"x-acs-action": action, "x-acs-version": version}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        signed = signature.sign_acs3(
            self.access_key_id,
            self.secret,
            method=method,
            path=target,
            query=query,
            headers=headers,
            body=body,
            date=time.strftime("%Y-%m-%dT%H:%M:%SZ", self._now()),
            nonce=secrets.token_hex(16),
        )
        return load.http_request(method, path, signed, body)

    def data_plane(self, body: bytes) -> bytes:
        """The bytes of one data-plane PutEvents, signed as the official SDK does."""
        headers = {
            "host": f"{self.host}:{self.port}",
            "content-type": "application/cloudevents-batch+json; charset=utf-8",
            "x-eventbridge-version": "2015-06-06",
        }
        signed = signature.sign_data_plane(
            self.access_key_id,
            self.secret,
            method="POST",
            path="/openapi/putEvents",
            headers=headers,
            date=time.strftime("%a, %d %b %Y %H:%M:%S GMT", self._now()),
            nonce=secrets.token_hex(16),
        )
        return load.http_request("POST", "/openapi/putEvents", signed, body)

    def call(self, raw: bytes) -> Any:
        """Send one prepared request and return the decoded answer; SystemExit on a refusal."""
        said = self.text(raw)
        return json.loads(said) if said else None

    def text(self, raw: bytes) -> bytes:
        """As `call`, the answer as it came."""
        status, said = self.ask(raw)
        if status >= 300:
            method, path, _ = raw.split(b" ", 2)
            raise SystemExit(f"{method.decode()} {path.decode()}: {status} {said!r}")
        return said

    def ask(self, raw: bytes) -> tuple[int, bytes]:
        """Send one prepared request over a connection of its own; return status and body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        with contextlib.closing(connection):
            return exchange(connection, raw)

    def eventbridge(self, action: str, **parameters: Any) -> Any:
        from urllib.parse import urlencode

        flat = {k: v if isinstance(v, str) else json.dumps(v) for k, v in parameters.items()}
        path = "/?" + urlencode(flat)
        return self.call(self.signed("POST", path, action=action, version="2020-04-01"))

    def deploy(self, name: str, source: str, **more: Any) -> None:
        """Create a Python function of one file."""
        body = {
            "functionName": name,
            "runtime": "python3.10",
            "handler": "index.handler",
            "timeout": 60,
            "code": {"zipFile": zipped(source)},
            **more,
        }
        raw = self.signed(
            "POST",
            "/2023-03-30/functions",
            json.dumps(body).encode(),
            action="CreateFunction",
            version="2023-03-30",
        )
        self.call(raw)


def exchange(connection: http.client.HTTPConnection, raw: bytes) -> tuple[int, bytes]:
    """Send one prepared request over this connection; return status and body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def zipped(source: str) -> str:
    """Base64 of a package with one `index.py`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", source)
    return base64.b64encode(packed.getvalue()).decode()


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Product]:
    """Start `headrace up` on a fresh data directory; stop and delete it at the end."""
    with tempfile.TemporaryDirectory(
        prefix="headrace-bench-", dir=os.environ.get("TMPDIR")
    ) as home:
        ready = Path(home) / "ready.json"
        data = Path(home) / "data"
        process = start(data, ready, *arguments)
        try:
            yield read(ready)
        finally:
            process.terminate()
            process.wait(30)


def start(
    data: Path,
    ready: Path,
    *arguments: str,
    log: IO[bytes] | None = None,
    own_group: bool = False,
    python: Sequence[str] = (sys.executable,),
) -> subprocess.Popen[str]:
    """Start a server and return once it answers.

    log: where its log goes; None: where ours goes.  own_group: it leads a process group, which can
    be killed as one.  python: the command that runs it.
    """
    command = [
        *python,
        "-m",
        "headrace",
        "up",
        "--port",
        "0",
        "--data",
        str(data),
        "--ready-file",
        str(ready),
        *arguments,
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
        start_new_session=own_group,
    )  # fmt: skip
    harness.wait_for_line(process, "http://")
    return process


def read(ready: Path) -> Product:
    told = json.loads(ready.read_text())
    pair = json.loads(Path(told["keys_file"]).read_text())
    return Product(
        told["host"],
        told["port"],
        told["worker_pid"],
        told["account"],
        pair["access_key_id"],
        pair["access_key_secret"],
        told["data"],
    )


def cloud_event(number: int, size: int, bus: str, **more: object) -> dict[str, object]:
    """One event of about `size` bytes."""
    filler = "x" * max(0, size - 220)
    return {
        "id": f"e-{number}",
        "source": "bench.shop",
        "type": "bench:Order",
        "specversion": "1.0",
        "aliyuneventbusname": bus,
        "data": {"number": number, "filler": filler, **more},
    }

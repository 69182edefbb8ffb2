"""A real server: `headrace up` in a process group of its own, on a data directory of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.wire import sdk, waiting

_START_SECONDS_MAX = 20
_STOP_SECONDS_MAX = 20


class Server:
    """One server; it may be stopped, killed and started again on the same directory."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._data = home / "data"
        self._ready_file = home / "ready.json"
        self._log_file = home / "server.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not _is_own(name)},
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_RUNTIME_DIR": str(home / "state"),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.place = sdk.Place("", "", "")
        self.account = ""
        self.region = ""

    def start(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "headrace", "up", "--port", "0",
                    "--data", str(self._data), "--ready-file", str(self._ready_file),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment, start_new_session=True,
            )  # fmt: skip
        waiting.wait_for(self._is_up, "the ready file", seconds=_START_SECONDS_MAX)
        ready = json.loads(self._ready_file.read_text())
        keys = json.loads(Path(ready["keys_file"]).read_text())
        self.account, self.region = ready["account"], ready["region"]
        self.place = sdk.Place(
            ready["url"].removeprefix("http://"), keys["access_key_id"], keys["access_key_secret"]
        )

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended:\n{self.log()}"
        return self._ready_file.exists()

    def stop(self) -> None:
        """Ask it to end, as an operator does, and see that it does so well."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_STOP_SECONDS_MAX)
        self._process = None
        assert code == 0, f"the server ended with {code}:\n{self.log()}"

    def kill(self) -> None:
        """End it and all it started at once, as a crash of the machine would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOP_SECONDS_MAX)
        self._process = None

    def restart(self, how: str = "kill") -> None:
        """how: "stop" or "kill"."""
        if how == "stop":
            self.stop()
        else:
            self.kill()
        self.start()

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")


def _is_own(name: str) -> bool:
    return name.startswith(("HEADRACE_", "ALIBABA_CLOUD_"))

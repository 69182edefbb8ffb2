"""Rung L0: a plain process, no walls at all. Only on explicit demand (`--sandbox=none`), for
development.
"""

from __future__ import annotations

from pathlib import Path

from headrace.functions import sandbox


class Plain:
    """Run the interpreter as the server's own user. The code can read and write whatever the server
    can.
    """

    rung = "L0"
    description = "no sandbox: functions run as plain processes of this user (development only)"

    def code_path(self, code: Path) -> str:
        return str(code)

    def command(self, spec: sandbox.Spec) -> sandbox.Command:
        script, *arguments = spec.bootstrap
        return sandbox.Command(
            argv=(*spec.interpreter, str(spec.runtime / script), *arguments),
            environment=spec.environment,
            descriptors=(),
            directory=str(spec.code),
        )

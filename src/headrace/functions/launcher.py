"""The launcher: turn a function into a running process with a socket and a log pipe.

Owns the compiled bootstrap and the spawn. Must be called on the thread of the event loop, never on
a worker thread: the sandbox dies with the *thread* that made it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
import py_compile
import signal
import socket
import subprocess
from pathlib import Path

import msgspec

from headrace.core import errors
from headrace.functions import frames, sandbox
from headrace.functions.sandbox import bubblewrap
from headrace.resources import model

#: Files a function may hold open; past it `open` fails inside the function.
FILES_MAX = 1024
#: Stack of each of its threads; past it the instance ends and is replaced.
STACK_BYTES_MAX = 8 * 1024 * 1024
MIB = 1024 * 1024

_SOURCES = Path(__file__).parent / "runtimes" / "python"
_PASSWD = "fn:x:10000:10000:function:/tmp:/bin/sh\n"
#: -I: nothing of the host's environment or site; -S: no site; -B: /code is read-only; -u: a crash
#: loses no output.
_PYTHON_FLAGS = ("-I", "-S", "-B", "-u", "-X", "utf8")


class Identity(msgspec.Struct, frozen=True):
    """Whose instance it is; ends up in FC_* variables and in the context."""

    account: str
    region: str
    instance_id: str
    qualifier: str = "LATEST"
    #: Secret of the marks in the log stream.
    token: str = ""


class Process:
    """A spawned sandbox: its end of the socket, its output, its life."""

    def __init__(
        self, popen: subprocess.Popen[bytes], connection: socket.socket, log_descriptor: int
    ) -> None:
        self._popen = popen
        self.socket = connection
        self.log_descriptor = log_descriptor
        #: Readable once the process has ended.
        self.life_descriptor = os.pidfd_open(popen.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def kill(self) -> None:
        """End the sandbox and everything in it. Harmless when it has ended."""
        if self._popen.returncode is None:
            try:
                os.killpg(self._popen.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def reap(self) -> int:
        """Return the exit status; call it once `life_descriptor` is readable. Negative: the signal
        that ended it.
        """
        return self._popen.wait()

    def release(self) -> None:
        """Close what belongs to this process on our side (the socket belongs to its transport)."""
        os.close(self.life_descriptor)
        os.close(self.log_descriptor)


class Launcher:
    """Spawn instances of the Python runtime through one sandbox."""

    def __init__(self, walls: sandbox.Sandbox, root: Path) -> None:
        """`root`: a directory of our own for the compiled runtime."""
        self.sandbox = walls
        self._runtime = root / "runtime"
        self._interpreter = (bubblewrap.interpreter(), *_PYTHON_FLAGS)

    def prepare(self) -> None:
        """Compile the runtime once: a script would be compiled again by every cold start."""
        self._runtime.mkdir(parents=True, exist_ok=True)
        for name in ("bootstrap", "extras"):
            py_compile.compile(
                str(_SOURCES / f"{name}.py"),
                cfile=str(self._runtime / f"{name}.pyc"),
                dfile=f"/runtime/{name}.py",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        (self._runtime / "passwd").write_text(_PASSWD)

    def spawn(self, function: model.Function, identity: Identity, code: Path) -> Process:
        """Start one instance; the caller sends `start_frame` first. Takes about a millisecond of
        the loop.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        log_read, log_write = os.pipe()
        secrets: tuple[int, ...] = ()
        try:
            command = self.sandbox.command(self._spec(function, identity, code, theirs.fileno()))
            secrets = command.descriptors
            popen = subprocess.Popen(
                command.argv,
                env=command.environment,
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=log_write,
                stderr=log_write,
                pass_fds=(theirs.fileno(), *command.descriptors),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(log_read)
            raise
        finally:
            theirs.close()
            for descriptor in (log_write, *secrets):
                os.close(descriptor)
        ours.setblocking(False)
        os.set_blocking(log_read, False)
        return Process(popen, ours, log_read)

    def start_frame(self, function: model.Function, identity: Identity, code: Path) -> bytes:
        """The first frame of every instance: what it has to load and within which bounds."""
        initializer = function.initializer.handler if function.initializer else ""
        pre_stop = function.pre_stop.handler if function.pre_stop else ""
        settings = {
            "code": self.sandbox.code_path(code),
            "handler": function.handler,
            "initializer": initializer,
            "pre_stop": pre_stop,
            "name": function.name,
            "memory": str(function.memory_mb),
            "timeout": str(function.timeout_s),
            "concurrency": str(function.instance_concurrency),
            "qualifier": identity.qualifier,
            "account": identity.account,
            "region": identity.region,
            "token": identity.token,
            "answer_bytes_max": str(frames.PAYLOAD_BYTES_MAX),
            "files_max": str(FILES_MAX),
            "file_bytes_max": str(function.disk_mb * MIB),
            "stack_bytes_max": str(STACK_BYTES_MAX),
        }
        words = [word for pair in settings.items() for word in pair]
        if any("\0" in word for word in words):
            raise errors.InvalidInput("The function's configuration holds a NUL character.")
        return frames.pack(frames.START, 0, 0, words)

    def _spec(
        self, function: model.Function, identity: Identity, code: Path, connection: int
    ) -> sandbox.Spec:
        return sandbox.Spec(
            code=code,
            runtime=self._runtime,
            interpreter=self._interpreter,
            bootstrap=("bootstrap.pyc", str(connection)),
            environment=self._environment(function, identity, code),
            disk_bytes=function.disk_mb * MIB,
        )

    def _environment(
        self, function: model.Function, identity: Identity, code: Path
    ) -> dict[str, str]:
        """All the code finds in its environment; ours come last, so that they win."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            **function.environment,
            "FC_FUNC_CODE_PATH": self.sandbox.code_path(code),
            "FC_ACCOUNT_ID": identity.account,
            "FC_FUNCTION_HANDLER": function.handler,
            "FC_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "FC_FUNCTION_NAME": function.name,
            "FC_REGION": identity.region,
            "FC_INSTANCE_ID": identity.instance_id,
            "FC_QUALIFIER": identity.qualifier,
        }

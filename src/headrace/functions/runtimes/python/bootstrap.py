"""The only code of ours that runs beside the user's: load the handler, answer frames, keep the log
apart.

Runs inside the sandbox with the standard library only. It must stay lean: what it imports before
READY is paid by every cold start, so json, logging, traceback and threading are imported when
something needs them. The frames are described in `frames.py`; nothing here is trusted by the
server.
"""

import os
import resource
import struct
import sys
from time import perf_counter_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

HEADER = struct.Struct("<IBBHIII")
START, INVOKE, CANCEL, STOP = 1, 2, 3, 4
READY, RESULT, FAILED = 16, 17, 18
MARKED = 1
OK, ERROR, CANCELLED = 0, 1, 2
READ_BYTES = 64 * 1024
PYC_HEADER_BYTES = 16
#: The context of a hook: no request id, no deadline, no retries.
HOOK_HEAD = "\0".join(("0", "", "0"))

_extras: "dict[str, Any]" = {}

UNHANDLED = "UnhandledInvocationError"
INITIALIZATION = "InitializationError"


class HandlerNotFound(Exception):
    """The handler's file is there, the function in it is not."""


class ResponseTooLarge(Exception):
    """The handler returned more than an answer may hold."""


class Frame:
    """One frame as it came in."""

    def __init__(self, kind: int, flags: int, number: int, head: str, body: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.number = number
        self.head = head
        self.body = body


def peak_from_usage() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_from_status() -> int:
    """The same when the parent was larger: ru_maxrss survives an exec, VmHWM does not."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


class Channel:
    """The socket to the server: whole frames in, whole frames out."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        #: Held while a frame is written, when there are threads.
        self.alone: Any = None
        #: Quick in a sandbox, whose parent is tiny; a plain process has to ask the slow way.
        slow = peak_from_usage() > peak_from_status() > 0
        self.peak_kib = peak_from_status if slow else peak_from_usage
        self._frames: list[Frame] = []

    def next(self) -> "Frame | None":
        """Wait for the next frame; None when the server is gone."""
        while not self._frames:
            if not self._read():
                return None
        return self._frames.pop(0)

    def send(
        self, kind: int, flags: int, number: int, took_us: int, head: str = "", body: bytes = b""
    ) -> None:
        text = head.encode()
        usage = self.peak_kib()
        size = len(text) + len(body)
        data = HEADER.pack(size, kind, flags, len(text), number, min(took_us, 0xFFFFFFFF), usage)
        data = data + text + body
        if self.alone is None:
            self._write(data)
            return
        with self.alone:
            self._write(data)

    def _write(self, data: bytes) -> None:
        sent = os.write(self._descriptor, data)
        if sent < len(data):
            rest = memoryview(data)[sent:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def _read(self) -> bool:
        chunk = os.read(self._descriptor, READ_BYTES)
        if not chunk:
            return False
        data = self._buffer + chunk if self._buffer else chunk
        at = 0
        while len(data) - at >= HEADER.size:
            size, kind, flags, head_bytes, number, _, _ = HEADER.unpack_from(data, at)
            stop = at + HEADER.size + size
            if len(data) < stop:
                data = self._whole(data[at:], HEADER.size + size)
                if not data:
                    return False
                at, stop = 0, HEADER.size + size
            middle = at + HEADER.size + head_bytes
            head = data[at + HEADER.size : middle].decode()
            self._take(Frame(kind, flags, number, head, data[middle:stop]))
            at = stop
        self._buffer = data[at:]
        return True

    def _whole(self, start: bytes, size: int) -> bytes:
        """Read on until `size` bytes are there; b"" when the server is gone."""
        parts = [start]
        have = len(start)
        while have < size:
            chunk = os.read(self._descriptor, READ_BYTES)
            if not chunk:
                return b""
            parts.append(chunk)
            have += len(chunk)
        return b"".join(parts)

    def _take(self, frame: Frame) -> None:
        if frame.kind != CANCEL:
            self._frames.append(frame)
            return
        for waiting in self._frames:
            if waiting.kind == INVOKE and waiting.number == frame.number:
                waiting.kind = CANCEL


class Record:
    """A bag of attributes, as the context of the cloud is one."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return repr(self.__dict__)


class Context:
    """What a handler gets as its second argument: the union of the contexts of all Python runtimes
    of the cloud.
    """

    def __init__(self, settings: "dict[str, str]", head: str, handler: str) -> None:
        deadline_ms, request_id, retry_count, *pairs = head.split("\0")
        self.request_id = request_id
        self.deadline_ms = int(deadline_ms)
        self.retry_count = int(retry_count)
        self.attributes = dict(zip(pairs[::2], pairs[1::2], strict=True))
        self.region = settings["region"]
        self.account_id = settings["account"]
        self.log_project = ""
        self.log_store = ""
        qualifier = settings["qualifier"]
        self.function = Record(
            name=settings["name"],
            handler=handler,
            memory=int(settings["memory"]),
            timeout=int(settings["timeout"]),
            initializer=settings["initializer"],
            version_id="",
            qualifier=qualifier,
        )

    @property
    def credentials(self) -> Record:
        return Record(access_key_id="", access_key_secret="", security_token="")

    @property
    def service(self) -> Record:
        qualifier = self.function.__dict__["qualifier"]
        return Record(name="", log_project="", log_store="", qualifier=qualifier, version_id="")

    @property
    def tracing(self) -> Record:
        return Record(span_context="", jaeger_endpoint="", span_baggages={})

    @property
    def logger(self) -> "Any":
        import logging

        return logging.getLogger()


class Current:
    """The invocation that runs now (per thread when there are several)."""

    number = 0
    request_id = ""


class Log:
    """Marks in the stream of output: what follows belongs to another invocation."""

    def __init__(self, token: str) -> None:
        # A copy of its own: the handler may close or replace 1 and 2.
        self._descriptor = os.dup(1)
        self._token = b"\0FC" + token.encode()

    def mark(self, number: int) -> bytes:
        return b"%s%08x\0" % (self._token, number)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class Runtime:
    """The handler and everything around one call of it."""

    def __init__(self, channel: Channel, settings: "dict[str, str]") -> None:
        self.channel = channel
        self.settings = settings
        self.current = Current()
        self.log = Log(settings["token"])
        self.answer_bytes_max = int(settings["answer_bytes_max"])
        self.handler: Callable[[bytes, Context], object] | None = None

    def load(self) -> "tuple[str, bytes] | None":
        """Import the handler, run the initializer; (error type, body) when either fails."""
        try:
            self.handler = find(self.settings["handler"], self.settings["code"])
        except BaseException as error:
            return UNHANDLED, described(error, loading=True)
        if not self.settings["initializer"]:
            return None
        try:
            initializer = find(self.settings["initializer"], self.settings["code"])
            initializer(Context(self.settings, HOOK_HEAD, self.settings["initializer"]))
        except BaseException as error:
            return INITIALIZATION, described(error, loading=True)
        return None

    def serve(self, frame: Frame) -> None:
        """Run one invocation and answer it."""
        if frame.kind == CANCEL:
            self.channel.send(RESULT, CANCELLED, frame.number, 0)
            return
        if frame.flags & MARKED:
            self.log.write(self.log.mark(frame.number))
        context = Context(self.settings, frame.head, self.settings["handler"])
        self.current.number = frame.number
        self.current.request_id = context.request_id
        handler = self.handler
        assert handler is not None, "no invocation before READY"
        began = perf_counter_ns()
        try:
            answer = self.as_bytes(handler(frame.body, context))
            status, head = OK, ""
        except BaseException as error:
            if isinstance(error, SystemExit):
                leave(error)
            answer = described(error)
            status, head = ERROR, UNHANDLED
        took_us = (perf_counter_ns() - began) // 1000
        self.channel.send(RESULT, status, frame.number, took_us, head, answer)

    def as_bytes(self, result: object) -> bytes:
        """Bytes and text as they are, None as nothing, everything else as JSON."""
        if isinstance(result, bytes):
            answer = result
        elif isinstance(result, str):
            answer = result.encode()
        elif result is None:
            answer = b""
        elif isinstance(result, bytearray):
            answer = bytes(result)
        else:
            import json

            answer = json.dumps(result).encode()
        if len(answer) > self.answer_bytes_max:
            raise ResponseTooLarge(
                f"response size exceeds maximum allowed size ({self.answer_bytes_max} bytes)"
            )
        return answer

    def stop(self) -> None:
        if self.settings["pre_stop"]:
            try:
                hook = find(self.settings["pre_stop"], self.settings["code"])
                hook(Context(self.settings, HOOK_HEAD, self.settings["pre_stop"]))
            except BaseException as error:
                described(error)
        leave(SystemExit(0))


def extras() -> "dict[str, Any]":
    """Load the half of the runtime that few instances need (`extras.py`), once."""
    if not _extras:
        import marshal

        with open(os.path.dirname(__file__) + "/extras.pyc", "rb") as compiled:
            compiled.seek(PYC_HEADER_BYTES)
            exec(marshal.load(compiled), _extras)
    return _extras


def described(error: BaseException, *, loading: bool = False) -> bytes:
    return extras()["described"](error, loading, extras.__code__.co_filename)


def find(handler: str, code: str) -> "Callable[..., object]":
    """Return the function that `folder/file.function` names."""
    path, _, function = handler.rpartition(".")
    name = path.replace("/", ".").strip(".")
    if not name:
        raise HandlerNotFound(f"handler '{handler}' is not of the form file.function")
    __import__(name)
    module = sys.modules[name]
    found = getattr(module, function, None)
    if not callable(found):
        raise HandlerNotFound(
            f"function '{function}' not found in {getattr(module, '__file__', name)}"
        )
    return found


def leave(error: SystemExit) -> None:
    """End the process as sys.exit() would, but without waiting for threads the code left behind."""
    code = error.code
    try:
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # Closed by the handler; nothing is left to flush.
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


class LoggingHook:
    """Give `logging` the cloud's format when the code imports it, and not a moment sooner."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def find_spec(self, name: str, path: object = None, target: object = None) -> "Any":
        if name != "logging":
            return None
        sys.meta_path.remove(self)  # pyright: ignore[reportArgumentType]
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None)
            if spec is not None and spec.loader is not None:
                self._wrap(spec.loader)
                return spec
        return None

    def _wrap(self, loader: "Any") -> None:
        execute = loader.exec_module

        def exec_module(module: "ModuleType") -> None:
            execute(module)
            extras()["configure"](module, self._runtime)

        loader.exec_module = exec_module


def serve_one_by_one(runtime: Runtime) -> None:
    """Run handlers in the main thread, in the order of the requests."""
    while True:
        frame = runtime.channel.next()
        if frame is None:
            os._exit(0)
        if frame.kind == STOP:
            runtime.stop()
        runtime.serve(frame)


def limit(settings: "dict[str, str]") -> None:
    """Set limits the code cannot raise again, and let the server go first when both could run."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: int(settings["files_max"]),
        resource.RLIMIT_FSIZE: int(settings["file_bytes_max"]),
        resource.RLIMIT_STACK: int(settings["stack_bytes_max"]),
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))


def main() -> None:
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    channel = Channel(descriptor)
    start = channel.next()
    if start is None:
        os._exit(0)
    assert start.kind == START, f"the first frame is START, not {start.kind}"
    words = start.head.split("\0")
    settings = dict(zip(words[::2], words[1::2], strict=True))
    limit(settings)
    os.chdir(settings["code"])
    extra = [part for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    sys.path[:0] = [settings["code"], *extra]
    sys.argv = [settings["handler"]]
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    runtime = Runtime(channel, settings)
    threads_max = int(settings["concurrency"])
    if threads_max > 1:
        extras()["share_output"](runtime)
    sys.meta_path.insert(0, LoggingHook(runtime))  # pyright: ignore[reportArgumentType]
    began = perf_counter_ns()
    failure = runtime.load()
    took_us = (perf_counter_ns() - began) // 1000
    if failure is not None:
        channel.send(FAILED, 0, 0, took_us, *failure)
        os._exit(1)
    channel.send(READY, 0, 0, took_us)
    if threads_max > 1:
        extras()["serve_in_threads"](runtime, threads_max, STOP)
    serve_one_by_one(runtime)


if __name__ == "__main__":
    main()

"""What only some functions need beside `bootstrap.py`: errors in words, logging, threads.

Loaded by the bootstrap when it is needed, into a namespace that the user's code does not see.
"""

import contextlib
import os
import sys
from time import gmtime, strftime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: The rest of a longer message is left out of the answer; the log has it all.
MESSAGE_CHARS_MAX = 1024 * 1024


def described(error: BaseException, loading: bool, ours: str) -> bytes:
    """Write the traceback to the log and return the error JSON of the cloud (spec/fc.md 3.4)."""
    import json
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    while frames and (frames[0].filename == ours or frames[0].filename.startswith("<frozen")):
        frames.pop(0)
    stack = [
        [f'File "{frame.filename}"', f"line {frame.lineno}", f"in {frame.name}", frame.line or ""]
        for frame in frames
    ]
    if isinstance(error, SyntaxError):
        text = (error.text or "").strip()
        stack.append([f'File "{error.filename}"', f"line {error.lineno}", "in <module>", text])
    try:
        message = str(error)
    except Exception:
        message = f"<{type(error).__name__} whose text cannot be read>"
    if len(message) > MESSAGE_CHARS_MAX:
        message = message[:MESSAGE_CHARS_MAX] + "..."
    if isinstance(error, SystemExit):
        message = f"the code called exit({message}) while it was loaded"
    lines = traceback.format_list(frames) + traceback.format_exception_only(type(error), error)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # When the handler closed stderr, the log ends there; the answer does not.
        print("Traceback (most recent call last):\n" + "".join(lines), end="", file=sys.stderr)
    body = {"errorMessage": message, "errorType": kind_of(error, loading), "stackTrace": stack}
    return json.dumps(body).encode()


def kind_of(error: BaseException, loading: bool) -> str:
    if loading and isinstance(error, SyntaxError):
        return "UserCodeSyntaxError"
    if loading and isinstance(error, ImportError):
        return "ImportModuleError"
    return type(error).__name__


def configure(logging: "Any", runtime: "Any") -> None:
    """Set up the root logger as the cloud does: INFO and above, with time and request id."""

    class Handler(logging.Handler):
        def emit(self, record: "Any") -> None:
            moment = strftime("%Y-%m-%dT%H:%M:%S", gmtime(record.created))
            stamp = f"{moment}.{int(record.msecs):03d}Z"
            text = self.format(record)
            line = f"{stamp} {runtime.current.request_id} [{record.levelname}] {text}\n"
            try:
                sys.stdout.write(line)
            except (OSError, ValueError):
                self.handleError(record)

    logging.root.addHandler(Handler())
    logging.root.setLevel(logging.INFO)


def serve_in_threads(runtime: "Any", threads_max: int, stop: int) -> None:
    """Run up to `threads_max` handlers at once, each in a thread of its own."""
    from _queue import SimpleQueue
    from threading import Thread

    waiting: SimpleQueue[Any] = SimpleQueue()
    idle: SimpleQueue[bool] = SimpleQueue()
    threads = 0

    def work() -> None:
        while True:
            runtime.serve(waiting.get())
            idle.put(True)

    while True:
        frame = runtime.channel.next()
        if frame is None:
            os._exit(0)
        if frame.kind == stop:
            runtime.stop()
        if not idle.empty():
            idle.get()
        elif threads < threads_max:
            threads += 1
            Thread(target=work, daemon=True).start()
        waiting.put(frame)


def share_output(runtime: "Any") -> None:
    """Make threads safe: one writer at a time, and a mark whenever the output changes hands."""
    import io
    import threading

    class Ours(threading.local):
        number = 0
        request_id = ""

    runtime.current = Ours()
    lock = threading.Lock()
    owner = 0

    class Stream(io.TextIOBase):
        def __init__(self, plain: "Any") -> None:
            self.plain = plain
            self.buffer = plain.buffer

        encoding = "utf-8"  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

        def writable(self) -> bool:
            return True

        def fileno(self) -> int:
            return self.plain.fileno()

        def write(self, text: str, /) -> int:
            nonlocal owner
            data = text.encode("utf-8", "backslashreplace")
            with lock:
                number = runtime.current.number
                if number and number != owner:
                    owner = number
                    data = runtime.log.mark(number) + data
                runtime.log.write(data)
            return len(text)

    runtime.channel.alone = threading.Lock()
    sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr)

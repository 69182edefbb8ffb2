"""The socket through which an operator asks."""

from __future__ import annotations

import contextlib
import socket
import stat
import threading
from pathlib import Path

import msgspec
import pytest

from headrace.supervisor import control


def test_answers_come_until_the_last(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)  # longer than a socket's address may be
    folder.mkdir(parents=True)
    heard: list[control.Ask] = []

    def supervise(listener: socket.socket) -> None:
        asker = control.Asker(listener.accept()[0])
        heard.append(asker.hear())
        asker.tell(control.Answer("one"))
        asker.tell(control.Answer("two", done=True, gap_s=0.5))
        asker.tell(control.Answer("never read"))
        asker.close()

    asked = control.Ask(program=["x"], drain_s=3.0)
    with control.listen(folder) as listener:
        thread = threading.Thread(target=supervise, args=(listener,))
        thread.start()
        answers = list(control.ask(folder, asked))
        thread.join()
    assert heard == [asked]
    assert answers == [control.Answer("one"), control.Answer("two", done=True, gap_s=0.5)]


def test_only_the_owner_may_ask(tmp_path: Path) -> None:
    with control.listen(tmp_path):
        assert stat.S_IMODE((tmp_path / control.NAME).stat().st_mode) == 0o600


def test_the_socket_of_a_dead_server_is_no_answer_and_not_in_the_way(tmp_path: Path) -> None:
    control.listen(tmp_path).close()
    with pytest.raises(ConnectionRefusedError):
        list(control.ask(tmp_path, control.Ask()))
    with control.listen(tmp_path):
        pass


@pytest.mark.parametrize(
    "said", [b"", b"upgrade!\n", b'{"drain_s": "x"}\n', b'{"drain_s": -1}\n', b"\xff\n"]
)
def test_what_is_no_question_is_refused(tmp_path: Path, said: bytes) -> None:
    here, there = socket.socketpair()
    with here:
        here.sendall(said)
        here.shutdown(socket.SHUT_WR)
        asker = control.Asker(there)
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            asker.hear()
        asker.close()


def test_whoever_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ASK_S_MAX", 0.01)
    here, there = socket.socketpair()
    with here:
        asker = control.Asker(there)
        with pytest.raises(TimeoutError):
            asker.hear()
        asker.close()


def test_whoever_says_a_byte_now_and_then_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "ASK_S_MAX", 0.05)
    here, there = socket.socketpair()
    asker = control.Asker(there)
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.01):
                here.send(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            asker.hear()
    finally:
        ended.set()
        thread.join()
        asker.close()
        here.close()


def test_an_operator_who_has_gone_away_stops_nothing() -> None:
    here, there = socket.socketpair()
    here.close()
    asker = control.Asker(there)
    asker.tell(control.Answer("one"))
    asker.tell(control.Answer("two"))
    asker.close()

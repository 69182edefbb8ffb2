"""What a supervisor and its worker say to each other."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from headrace import channel


def test_a_word_comes_with_its_body_and_descriptors(tmp_path: Path) -> None:
    here, there = channel.Channel.pair()
    (tmp_path / "file").write_text("said")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    here.tell(channel.READY, b"body\nwith lines", [descriptor])
    os.close(descriptor)
    heard = there.hear()
    assert heard is not None
    assert (heard.word, heard.body) == (channel.READY, b"body\nwith lines")
    (got,) = heard.descriptors
    assert not os.get_inheritable(got)
    assert os.read(got, 10) == b"said"
    os.close(got)
    here.close()
    assert there.hear() is None
    there.close()


def test_any_number_of_descriptors_is_given_and_closed_here() -> None:
    here, there = channel.Channel.pair()
    count = 2 * channel.DESCRIPTORS_MAX + 1
    given = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    taken: list[int] = []

    def take() -> None:
        while heard := there.hear():
            taken.extend(heard.descriptors)
            there.tell(channel.TAKEN)

    taker = threading.Thread(target=take)
    taker.start()
    here.give(given)
    here.close()
    taker.join()
    there.close()
    assert len(taken) == count
    for one in taken:
        os.close(one)


def test_descriptors_that_nobody_takes_are_closed() -> None:
    here, there = channel.Channel.pair()
    there.close()
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="pipe"):
        here.give([writing])
    here.close()
    assert os.read(reading, 1) == b"", "the last writer has gone"
    os.close(reading)


def test_silence_is_waited_out() -> None:
    here, there = channel.Channel.pair()
    with pytest.raises(TimeoutError):
        here.hear(0.01)
    here.close()
    there.close()

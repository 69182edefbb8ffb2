"""The promises, in the words that stand in both READMEs and on their page, each with its proofs.

Data only, and the one place of these words. Must never hold a promise without a proof that runs in
every CI, and never a figure: those come from the results.
"""

from __future__ import annotations

from typing import NamedTuple


class Proof(NamedTuple):
    """What shows that a promise holds: a row of the fault harness, or a test."""

    #: Name of a row (`./dev faults NAME`), or the path of a test file.
    name: str
    #: What of it matters here.
    shows: str
    #: Names of figures in the row's result.
    figures: tuple[str, ...] = ()


class Promise(NamedTuple):
    """One sentence, in English and Chinese."""

    words: tuple[str, str]
    #: What is not built yet, where that is so.
    remark: tuple[str, str] = ("", "")
    #: What it means for who relies on it, a sentence each.
    meaning: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()


#: Nothing more is promised.
PROMISES = (
    Promise(
        (
            "at-least-once after 2xx on one machine incl. kill -9 and (with a disk that honours"
            " fsync) power loss",
            "单机上，返回 2xx 之后至少投递一次，包括 kill -9 以及（磁盘遵守 fsync 时）断电",
        ),
        meaning=(
            "A 2xx is given only after the event is on disk. An event without one may be there or"
            " not: send it again.",
            "From then on every rule that matched delivers it, or its dead letter is kept: never"
            " silently neither. Retention takes neither of them.",
            "A disk that says it has written what it has not is outside of this promise. After a"
            " sync that failed nothing more is acknowledged, and the server ends with code 70.",
            "What an operator deletes (a rule, a queue, a purge) is dropped, and counted as such.",
        ),
        proofs=(
            Proof("kill9", "all processes killed under load and in the middle of edits",
                  ("rounds", "acked", "lost", "phantom")),
            Proof("powerloss", "the power goes between any two operations of the disk",
                  ("images", "bad")),
            Proof("syscall", "system calls of the disk that fail",
                  ("injections", "acked", "problems", "hung")),
            Proof("diskfull", "a disk that somebody else fills",
                  ("acked", "lost", "refused_and_stored")),
            Proof("pending", "a backlog that a restart finds", ("pending", "delivered")),
            Proof("deadtarget", "a target that is dead for a day, and one that flaps"),
            Proof("poison", "events that end the process of their function"),
        ),
    ),
    Promise(
        (
            "in a 3-node cluster survives one node, ack gap up to ~12 s",
            "三节点集群可承受一个节点失效，确认间隔最长约 12 秒",
        ),
        remark=("clusters are not built yet", "集群尚未实现"),
    ),
    Promise(
        ("no exactly-once", "不承诺恰好一次"),
        meaning=(
            "A receiver may see an event twice: after a crash, and when its answer was lost. It"
            " can tell by the id and source of the event.",
        ),
        proofs=(
            Proof("kill9", "how often it happened", ("delivered", "delivered_twice")),
        ),
    ),
    Promise(
        ("order only for FIFO streams", "仅 FIFO 流保证顺序"),
        remark=("event streams are not built yet", "事件流尚未实现"),
        meaning=("Until then no order is promised, not even for one rule and one source.",),
    ),
)  # fmt: skip

#: What follows for backups, restores and upgrades: the first promise, kept across them.
FOLLOWING = (
    Promise(
        ("a backup holds everything that was acknowledged before it began, and no keys", ""),
        meaning=(
            "Log and registry are of one instant; the server goes on meanwhile.",
            "What was acknowledged while it ran may be in it or not.",
        ),
        proofs=(
            Proof("backup", "backups of a server under load, each restored and started",
                  ("rounds", "due", "lost", "phantom", "differ")),
            Proof("tests/e2e/test_cli_backup.py", "from the command line, on another machine"),
        ),
    ),
    Promise(
        ("a restore goes on from the instant of its backup, or writes nothing that starts", ""),
        meaning=(
            "Every sum is compared before anything is written, and no server starts on a restore"
            " that was cut short.",
            "What was delivered after the backup began is delivered again.",
            "Settled events older than the retention go within minutes of the start, as they would"
            " have where they came from; what is open, queue messages and dead letters stay.",
        ),
        proofs=(
            Proof("backup", "each backup is restored; both APIs say the same",
                  ("resources", "restored")),
            Proof("tests/unit/backup/test_backup.py", "damaged and interrupted ones are refused"),
        ),
    ),
    Promise(
        ("an upgrade fails no request, and the version before can come back until --finalize", ""),
        meaning=(
            "Open connections and the port go from one process to the next; requests wait"
            " meanwhile.",
            "A request or delivery that runs longer than the drain time (15 s unless said"
            " otherwise) is cut: a caller sees its connection close, a delivery is made again.",
        ),
        proofs=(
            Proof("upgrade", "hand-overs between two versions under load",
                  ("handovers", "failed", "lost", "delivered_twice", "gap_s_max")),
            Proof("tests/upgrade/test_handover.py",
                  "versions that do not start, that come back, that know other formats"),
        ),
    ),
    Promise(
        ("a later version opens the data directories of all released versions", ""),
        meaning=(
            "Every resource, event, delivery, dead letter and log in it reads the same, and what"
            " was open goes on.",
            "An earlier version refuses a directory of a later format and changes nothing in it.",
        ),
        proofs=(
            Proof("tests/upgrade/test_directories.py",
                  "the directory of each released version, as it was left"),
            Proof("tests/unit/store/sqlite/test_directory.py",
                  "steps up that were cut short, directories that are too new or too old"),
        ),
    ),
)  # fmt: skip

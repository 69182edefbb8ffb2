"""The embedded engine: SQLite through apsw, one directory. Format and failure cases:
`store/DESIGN.md`.

May import `store.ports` and the shared modules of `store`, and core; never another engine.
"""

from headrace.store.files import FileBlobs
from headrace.store.sqlite.directory import Directory, finalize
from headrace.store.sqlite.journal import SqliteJournal
from headrace.store.sqlite.records import SqliteRecords
from headrace.store.sqlite.registry import SqliteRegistry

__all__ = [
    "Directory",
    "FileBlobs",
    "SqliteJournal",
    "SqliteRecords",
    "SqliteRegistry",
    "finalize",
]

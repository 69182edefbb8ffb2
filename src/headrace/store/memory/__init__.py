"""The engine in memory: reference of the contract, engine of the simulation and of users' tests.

Nothing survives the process, except what a `MemoryLog` holds between two journals. May import
`store.ports`, `store.frames`, `store.paging`, `store.settings` and core; never another engine.
"""

from headrace.store.memory.blobs import MemoryBlobs
from headrace.store.memory.journal import MemoryJournal, MemoryLog
from headrace.store.memory.records import MemoryRecords
from headrace.store.memory.registry import MemoryRegistry, MemoryTable

__all__ = [
    "MemoryBlobs",
    "MemoryJournal",
    "MemoryLog",
    "MemoryRecords",
    "MemoryRegistry",
    "MemoryTable",
]

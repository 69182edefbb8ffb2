"""Where events come from besides the APIs: one module per protocol. Empty until they are built.

May import `resources`, `store.ports` and `core`; never the bus, functions, targets or a face: what
a source reads is handed to the bus by `app.py`.
"""

"""The bus: accept → match → append → deliver → settle.

Owns the way of an event from a validated CloudEvent to the settlement of its last delivery.
May import `resources`, `store.ports` and `core`; never `functions`, `targets`, `sources` or a face:
they meet in the `Subscription`, wired in `app.py`. Time and chance are passed in.
"""

"""The one catalog: every resource that exists here, and the trigger as a view of a rule.

Changed only by compare-and-set (`catalog`); what deleting does is one table (`deletes`), what
becomes of a field that a client sends is another (`fields`). May import `store.ports` and `core`,
nothing else of ours.
"""

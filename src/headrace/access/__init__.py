"""Who asks, and whether they may: access keys, the three signature schemes, nonces, policies.

May import `store`, `resources` and `core`; never a face, the bus, functions or targets. Every
operation asks here before it acts; nothing here knows what an operation does.
"""

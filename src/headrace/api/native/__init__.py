"""Our own API below /headrace/v1/: what the two clouds lack (explain, trace, live tail, replay,
dead letters, queues).

JSON with snake_case names, the same signatures as the other faces. May import what `api` may.
"""

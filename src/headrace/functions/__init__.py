"""Functions: run users' code in sandboxed processes and answer with what it returned, logged and
cost.

May import resources.model, store.ports (types) and core; never bus, targets, api. `pool` decides,
`instance` speaks to one process, `service` joins them. Design: DESIGN.md.
"""

"""The EventBridge face: the RPC control API (`control`) and the older data plane under /openapi/
(`dataplane`).

Both are tables of operations over the same handlers' work in the catalog and the engine;
wire-compatible with
the official SDKs. May import what `api` may.
"""

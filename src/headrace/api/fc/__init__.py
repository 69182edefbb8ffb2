"""Function Compute 3.0 (API 2023-03-30), wire-compatible with the official SDKs.

One row per operation (`wire`, `table`), handlers by subject, one place for errors (`faults`).
Translates and nothing else: rules of the domain live in resources and functions. May import
everything below api.
"""

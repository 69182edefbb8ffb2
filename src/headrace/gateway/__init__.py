"""HTTP triggers and custom domains: host and path → function. Empty until they are built.

A face like the others: may import `access`, `functions`, `resources` and `core`; never `store`.
"""

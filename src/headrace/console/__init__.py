"""The web console: static files that talk to the JSON APIs only. Empty until the console is built.

A face like the others: may import `access`, `resources` and `core`; never `store`.
"""

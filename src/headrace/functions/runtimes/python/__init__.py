"""The Python runtime. `bootstrap.py` runs inside the sandbox; the server only compiles it and never
imports it.
"""

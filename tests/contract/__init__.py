"""One suite, every engine: what `store/ports.py` promises."""

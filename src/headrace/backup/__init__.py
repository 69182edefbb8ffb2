"""Backups of a data directory: made while the server runs or rests, verified, restored.

`vault` is the form on disk, `making` fills it from one instant of the directory, `restoring` checks
it and lays it out again. May import the store and the resources' records; never a face or the bus.
"""

"""The process above the server: what must outlive one server process.

It owns the lock of the data directory, the listening socket and, between two workers, the
connections of clients. It starts a worker that died again, and it hands over to a new version: that
program takes its place in the same process, so that the process id stays. Here nothing is known of
events or functions.
"""

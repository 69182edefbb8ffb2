"""Functions without a process: packages, the pool, logs, frames."""

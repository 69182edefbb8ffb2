"""Real processes behind the real sandbox: what runtimes promise, what bad code cannot do."""

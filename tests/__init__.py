"""All suites; one directory each, run by `./dev test`."""

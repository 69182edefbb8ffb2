"""Headrace as a user meets it: the command line, the demo, an installed wheel."""

"""Runtimes: the small programs that run beside the user's code in a sandbox, a folder per language.

Code in here is executed in the sandbox, never in the server; it may import the language's standard
library only.
"""

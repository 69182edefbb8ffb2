"""One integration through two doors: a model of plain dicts against both official SDKs.

`model`, `words` and `views` are the independent opinion: they restate the rules from the
specification and import nothing of the product. The rest drives a real server and compares.
"""

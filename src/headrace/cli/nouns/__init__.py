"""One module per noun (or word) of the command line, each with its `app`; imported when used.

A noun turns options into requests and answers into text. Must never import another noun, but for
the one it holds.
"""

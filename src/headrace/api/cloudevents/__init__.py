"""CloudEvents over HTTP: `POST /events/{bus}` in structured, binary or batched mode, signed like
everything else.
"""

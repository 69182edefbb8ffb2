"""One script per figure, each prints one JSON line; floors beside them import nothing of ours."""

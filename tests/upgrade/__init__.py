"""Data directories of released versions, opened by this one."""

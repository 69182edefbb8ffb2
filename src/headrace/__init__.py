"""Headrace: a self-hosted event bus and function platform with Alibaba Cloud's APIs.

Owns the public names of the package, pinned by tests/house; must never import a part of the system.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"

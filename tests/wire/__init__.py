"""The official SDKs, unchanged but for endpoint and protocol, against a real server process."""

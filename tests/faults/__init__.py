"""Faults on purpose: crashes, power loss, failing disks."""

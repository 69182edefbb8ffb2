"""The whole bus on virtual time, with a simulated disk, network and executor: one seed, one day.

`python -m tests.simulation --help`; what is checked stands in `chronicle`, `watch` and `world`.
"""

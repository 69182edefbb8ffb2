"""R19: simulated days of the whole bus, each from a seed, with crashes and failing targets.

All of it is in `tests/simulation` (`./dev sim`, which tells one seed line by line); this is the
command that the rows share. Its last line is {"bar": "sim", ...}.

usage: ./dev faults sim [--seeds N] [--from N]
"""

from __future__ import annotations

import sys

from tests.simulation import __main__ as simulation

if __name__ == "__main__":
    sys.exit(simulation.main(sys.argv[1:]))

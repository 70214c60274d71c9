"""A target under a fuzzer that looks at which branches are taken: ``python -m fuzz.guided TARGET`` in
``tests``, followed by options of libFuzzer (``-max_total_time=60``). Needs ``pip install gapless[fuzz]``.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["gapless"]):
    from .targets import TARGETS


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()


main()

"""What holds for all tests: the same examples in every run. To look for new ones:
``HYPOTHESIS_PROFILE=explore make test``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_UNTIMED = [HealthCheck.too_slow]  # how fast examples are made says how busy the machine is
settings.register_profile("fixed", derandomize=True, suppress_health_check=_UNTIMED, deadline=None)
settings.register_profile("explore", print_blob=True, suppress_health_check=_UNTIMED, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

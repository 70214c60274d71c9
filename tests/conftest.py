"""What holds for all tests: the same examples in every run. To look for new ones:
``HYPOTHESIS_PROFILE=explore make test``."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fixed", derandomize=True)
settings.register_profile("explore", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

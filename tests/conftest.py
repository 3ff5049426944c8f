"""Sizes of the randomised tests: `make test` tries a hundred examples each, `make test-all` thousands.

A failure prints the example and how to repeat it.
"""

import os

from hypothesis import settings

settings.register_profile("default", max_examples=120, deadline=None, print_blob=True)
settings.register_profile("large", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

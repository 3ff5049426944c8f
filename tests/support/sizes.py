"""How much the tests do: `make test` takes the small sizes, `make test-all` the ones that the issues name."""

import os

LARGE = os.environ.get("HYPOTHESIS_PROFILE") == "large"

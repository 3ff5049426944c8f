"""An hour of load, and whether anything grows: `make soak`."""

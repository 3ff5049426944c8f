"""Measurements: `make bench`. Figures are ratios within one run; nothing here passes or fails by time."""

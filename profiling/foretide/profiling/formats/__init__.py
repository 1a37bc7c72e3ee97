"""Profiles in the formats of other tools: each module has `dump` and `load`."""

"""Demand history, forecast models, signals and the scaling decision."""

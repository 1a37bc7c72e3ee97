"""Probabilistic forecasts over horizons of minutes to a day, and the choice among the models."""

"""Capacity plans and dates of exhaustion (not built yet)."""

"""Advice for PostgreSQL databases (not built yet)."""

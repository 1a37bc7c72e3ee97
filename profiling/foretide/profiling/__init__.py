"""Attaching py-spy, profiles, hotspots and before/after comparison (not built yet)."""

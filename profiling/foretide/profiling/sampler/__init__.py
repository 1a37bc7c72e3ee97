"""Samples a running process: windows from py-spy and from /proc."""

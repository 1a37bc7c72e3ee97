"""Profilers in the cluster: how a pod is attached to, what comes back, and what it says."""

"""Traffic models and load tests with k6 (not built yet)."""

"""`make demo`: a Deployment scaled ahead of real load, beside its twin under the real HPA."""

"""Backtests: what each way to scale would have done on a demand that is known."""

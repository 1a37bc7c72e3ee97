"""A replay of demand against autoscalers: pods that take time, metrics that lag, what it cost."""

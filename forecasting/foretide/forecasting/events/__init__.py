"""Events: what is known about the future that no history foretells, and what it does to demand."""

"""What must outlive a process (not built yet)."""

"""DatabaseAdvisors in the cluster: which database is watched, what is advised, what is done."""

"""One query for each row of another (N+1): found from the database's side, rewritten, proven."""

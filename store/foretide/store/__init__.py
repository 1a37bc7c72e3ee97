"""What must outlive a process: so far, the roll-ups of demand.

`rollups`, `memory`, `messages`, `errors` and `client` need the base install only. The service and
the database (`database`, `schema`, `repository`, `service`, `run`) need the extra `store`.
"""

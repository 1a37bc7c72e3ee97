"""A cache of query results for applications that use psycopg 3: `docs/query-cache.md`.

Installs with the extra `cache`, and uses nothing else of Foretide.
"""

from foretide.dbadvisor.cache.asynchronous import AsyncCache
from foretide.dbadvisor.cache.backend import BackendAway
from foretide.dbadvisor.cache.flow import Counts
from foretide.dbadvisor.cache.memory import Memory
from foretide.dbadvisor.cache.synchronous import Cache
from foretide.dbadvisor.cache.triggers import install, install_ddl, remove, remove_ddl

__all__ = [
    "AsyncCache",
    "BackendAway",
    "Cache",
    "Counts",
    "Memory",
    "install",
    "install_ddl",
    "remove",
    "remove_ddl",
]

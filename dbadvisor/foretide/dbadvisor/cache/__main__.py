"""`python -m foretide.dbadvisor.cache shop.orders | psql …` installs the triggers."""

import sys

from foretide.dbadvisor.cache.triggers import main

sys.exit(main(sys.argv[1:]))

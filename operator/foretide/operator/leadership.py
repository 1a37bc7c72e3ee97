"""Leader election over a Lease, so that of several operators only one ever writes.

Source: the algorithm of client-go's tools/leaderelection: a holder renews, a candidate takes over
when it has not seen a renewal for a whole lease duration *by its own clock*, so that clocks may
differ. A holder that could not renew stops writing well before a candidate may start.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from .cluster import Cluster, ClusterError

logger = logging.getLogger(__name__)


class Leadership:
    """Holds, or waits for, one Lease. Durations in seconds.

    `renew_deadline` must be shorter than `lease_duration`: the difference is the time in which
    nobody writes.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._clock = clock
        self._renewed_at: float | None = None
        self._seen: tuple[Any, ...] | None = None
        self._seen_at = 0.0
        self._lease: dict[str, Any] | None = None
        self._trouble: str | None = None

    @property
    def held(self) -> bool:
        """Whether this process may write now."""
        return (
            self._renewed_at is not None and self._clock() - self._renewed_at < self._renew_deadline
        )

    @property
    def is_standing_by(self) -> bool:
        """Whether the lease has been seen in somebody else's hands: ready to take over."""
        return self._lease is not None

    async def acquire(self) -> None:
        """Wait until the lease is held."""
        told: str | None = None
        while not await self._try():
            holder = (self._lease or {}).get("spec", {}).get("holderIdentity")
            if holder != told:
                logger.info("Standing by: %s is the leader.", holder or "nobody yet")
                told = holder
            await asyncio.sleep(self._retry_period)
        logger.info("This operator is the leader now: %s", self.identity)

    async def keep(self) -> None:
        """Renew until it fails for the renew deadline; then return: the caller must stop."""
        while self.held:
            await asyncio.sleep(self._retry_period)
            await self._try()
        logger.error("Leadership is lost: the lease could not be renewed in time.")

    async def release(self) -> None:
        """Give the lease back, so that the next operator need not wait for it to run out."""
        if not self.held or self._lease is None:
            return
        self._renewed_at = None
        self._lease["spec"].update(holderIdentity="", leaseDurationSeconds=1)
        with contextlib.suppress(ClusterError):
            await self._cluster.request("PUT", f"{self._collection}/{self._name}", self._lease)

    async def _try(self) -> bool:
        """One attempt to take or renew the lease."""
        attempted_at = self._clock()
        try:
            lease = await self._read()
            if lease is None:
                body = self._claim({}, transitions=0)
                self._lease = await self._cluster.request("POST", self._collection, body)
            else:
                if not self._may_take(lease):
                    self._lease = lease
                    self._renewed_at = None  # ours was deleted, and somebody else was faster
                    return False
                spec = lease.get("spec", {})
                mine = spec.get("holderIdentity") == self.identity
                transitions = int(spec.get("leaseTransitions") or 0) + (not mine)
                body = self._claim(lease, transitions=transitions)
                self._lease = await self._cluster.request(
                    "PUT", f"{self._collection}/{self._name}", body
                )
        except ClusterError as error:
            if error.message != self._trouble:
                logger.warning("The lease cannot be had: %s", error.message)
                self._trouble = error.message
            return False
        self._trouble = None
        # From before the request: the others count from when they saw it, which was later.
        self._renewed_at = attempted_at
        return True

    async def _read(self) -> dict[str, Any] | None:
        try:
            answer = await self._cluster.request("GET", f"{self._collection}/{self._name}")
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        return dict(answer)

    def _may_take(self, lease: dict[str, Any]) -> bool:
        spec = lease.get("spec", {})
        holder = spec.get("holderIdentity")
        seen = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        if not holder or holder == self.identity:
            return True
        duration = float(spec.get("leaseDurationSeconds") or self._lease_duration)
        return self._clock() - self._seen_at > duration

    def _claim(self, lease: dict[str, Any], *, transitions: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        old = lease.get("spec", {})
        mine = old.get("holderIdentity") == self.identity
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": lease.get("metadata") or {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": round(self._lease_duration),
                "acquireTime": old.get("acquireTime") if mine else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

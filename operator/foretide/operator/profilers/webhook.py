"""The webhook that gives new pods their sidecar: the server, and keeping its registration up.

It is asked only for pods of namespaces that carry a label for it, has two seconds to answer, and
where it does not answer, pods are created as they are (failurePolicy Ignore).
"""

import asyncio
import hashlib
import logging
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from ..cluster import Cluster, ClusterError
from ..profiling_settings import WebhookSettings
from . import certificates, rollout
from .admission import Answer, Injection, answer
from .certificates import Certificates
from .registration import PATH, announced, bundle_of, host_of, key_of, registration, sound

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_KIND = "mutatingwebhookconfigurations"
_ROOT = f"/apis/admissionregistration.k8s.io/v1/{_KIND}"
_MERGE = "application/merge-patch+json"
_LARGEST = 4 * 1024 * 1024
_LOOK_AGAIN = 5.0
_REGISTER_AGAIN = 300.0


class Webhook:
    """Serves by the settings in force, and keeps the registration up where this operator leads; one
    that stands by only makes its authority known there.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Callable[[], WebhookSettings | None],
        injections: Callable[[], Sequence[Injection]],
        told: Callable[[Answer], None],
        *,
        leads: Callable[[], bool] = lambda: True,
        namespaces: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`injections` says what Profilers ask for, `told` is told of each answer."""
        self._cluster = cluster
        self._settings = settings
        self._injections = injections
        self._told = told
        self._leads = leads
        self._namespaces = tuple(namespaces)
        self._clock = clock
        self._runner: web.AppRunner | None = None
        self._served: WebhookSettings | None = None
        self._certificates: Certificates | None = None
        self._authorities: list[str] = []
        self._registered_at = 0.0
        self._trouble = ""

    @property
    def name(self) -> str:
        """The name of the registration; operators of different namespaces do not share one."""
        if not self._namespaces:
            return "foretide-profiling"
        digest = hashlib.sha256(",".join(sorted(self._namespaces)).encode()).hexdigest()[:8]
        return f"foretide-profiling-{digest}"

    @property
    def _path(self) -> str:
        return f"{_ROOT}/{self.name}"

    async def run(self) -> None:
        """Serve, and keep the registration and the certificates up, for ever."""
        while True:
            try:
                await self.look()
                self._trouble = ""
            except (ClusterError, OSError) as error:
                if str(error) != self._trouble:
                    logger.error("The webhook is not in service: %s", error)
                self._trouble = str(error)
            except Exception as error:  # a mistake of ours must not end it for good
                if repr(error) != self._trouble:
                    logger.exception("The webhook is not in service")
                self._trouble = repr(error)
            await asyncio.sleep(_LOOK_AGAIN)

    async def look(self) -> None:
        """Do what the settings in force ask for.

        Raises:
            ClusterError: it cannot be registered.
            OSError: it cannot listen there.
        """
        settings, now = self._settings(), self._clock()
        if settings is None:
            await self._withdraw()
            return
        host = host_of(settings)
        made = self._certificates
        if made is None or made.is_due(host, now):
            made = await asyncio.to_thread(certificates.make, host, now)
            # Until all API servers know the new authority, some ask with the old one.
            self._authorities = [made.authority, *self._authorities[:1]]
            self._certificates, self._registered_at = made, 0.0
            await self.stop()
        if self._runner is None or self._served != settings:
            await self.stop()
            await self._listen(settings, made)
            self._registered_at = 0.0
        there = await self._read()
        await self._make_known(there, now)
        if self._leads():
            await self._register(settings, there, now)

    async def _read(self) -> Mapping[str, Any]:
        """The registration; empty where there is none."""
        try:
            found: Mapping[str, Any] = await self._cluster.request("GET", self._path)
        except ClusterError as error:
            if error.status != 404:
                raise
            return {}
        return found

    async def _make_known(self, there: Mapping[str, Any], now: float) -> None:
        """Let the leader know our authority, once there is a registration; it tidies up there."""
        if not there:
            return
        known = announced(there)
        wanted: dict[str, str | None] = {key_of(self._authorities[0]): self._authorities[0]}
        if self._leads():
            kept = set(sound(known.values(), now))
            wanted |= {key: None for key, it in known.items() if it not in kept} | wanted
        if any(known.get(key) != value for key, value in wanted.items()):
            body = {"metadata": {"annotations": wanted}}
            await self._cluster.request("PATCH", self._path, body, content_type=_MERGE)

    async def _register(
        self, settings: WebhookSettings, there: Mapping[str, Any], now: float
    ) -> None:
        others = [it for it in sound(announced(there).values(), now) if it not in self._authorities]
        bundle = "".join([*self._authorities, *sorted(others)])
        if bundle_of(there) == bundle and now - self._registered_at < _REGISTER_AGAIN:
            return
        document = registration(self.name, settings, bundle, self._namespaces)
        path = f"{self._path}?fieldManager={rollout.MANAGER}&force=true"
        await self._cluster.request("PATCH", path, document, content_type=rollout.APPLY)
        self._registered_at = now

    async def stop(self) -> None:
        """Stop listening; the registration stays, and pods are created as they are meanwhile."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _withdraw(self) -> None:
        if self._served is None:
            return
        await self.stop()
        self._served = None
        try:
            if self._leads():
                await self._cluster.request("DELETE", self._path)
        except ClusterError as error:
            if error.status != 404:
                raise

    async def _listen(self, settings: WebhookSettings, made: Certificates) -> None:
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_post(PATH, self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        host, _, port = settings.listen.rpartition(":")
        context = await asyncio.to_thread(_context, made)
        try:
            await web.TCPSite(runner, host or None, int(port), ssl_context=context).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._served = runner, settings
        logger.info("The webhook listens on %s.", settings.listen)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            found = answer(await request.json(), self._injections())
        except (KeyError, TypeError, ValueError) as error:
            return web.Response(status=400, text=f"no AdmissionReview: {error}\n")
        self._told(found)
        return web.json_response(found.review)


def _context(made: Certificates) -> ssl.SSLContext:
    """The server's TLS. The module ssl reads files only: they are there for a moment, for us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "server.pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(made.key + made.certificate)
        context.load_cert_chain(path)
    return context

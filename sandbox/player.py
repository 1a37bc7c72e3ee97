"""The demand player: an HTTP endpoint that Prometheus scrapes and that plays the traces live.

`GET /metrics` is scraped, `GET /modes` and `POST /modes` ({"series": key or null, "mode": mode})
are how a test makes metrics go wrong. The modes are kept in a file, so that a player which was
killed goes on as it was told.
"""

import json
import signal
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from sandbox.errors import SandboxError
from sandbox.layout import write_private
from sandbox.modes import check_mode
from sandbox.playback import Playback, Sample, exposed, exposition
from sandbox.spec import SandboxSpec, load_spec


def playbacks(spec: SandboxSpec, started: float) -> list[Playback]:
    """One playback per series of the spec; `started` is the sandbox's start, Unix seconds."""
    return [
        Playback(series, started=started, speed=spec.speed, lookback=spec.lookback_seconds)
        for series in spec.series
    ]


class Show:
    """What is shown at each scrape: the playbacks, their modes and what they showed last."""

    def __init__(self, playing: list[Playback], modes_file: Path) -> None:
        self._playing = {playback.series.key: playback for playback in playing}
        self._file = modes_file
        self._lock = Lock()
        self._modes = {key: playback.series.mode for key, playback in self._playing.items()}
        self._last: dict[str, Sample] = {}
        if modes_file.exists():
            self._recall(json.loads(modes_file.read_text()))

    @property
    def modes(self) -> Mapping[str, str | float]:
        return dict(self._modes)

    def set_mode(self, key: str | None, mode: str | float, *, now: float) -> None:
        """Set the mode of one series, or of all. Raises SandboxError for an unknown one."""
        check_mode(mode)
        if key is not None and key not in self._playing:
            raise SandboxError(f"no series {key!r} among {', '.join(self._playing) or 'none'}")
        with self._lock:
            for chosen in self._playing if key is None else (key,):
                if mode == "stale" and chosen not in self._last:
                    self._last.update(self._newest(chosen, now))
                self._modes[chosen] = mode
            self._remember()

    def text(self, now: float) -> str:
        """The exposition at Unix time `now`."""
        families: dict[str, list[tuple[Mapping[str, str], Sample]]] = {}
        with self._lock:
            for key, playback in self._playing.items():
                mode = self._modes[key]
                if mode == "stale" and key not in self._last:
                    self._last.update(self._newest(key, now))
                sample = exposed(playback, mode, now=now, last=self._last.get(key))
                if sample is None:
                    continue
                self._last[key] = sample
                row = (playback.series.labels, sample)
                families.setdefault(playback.series.name, []).append(row)
        return exposition(families)

    def _newest(self, key: str, now: float) -> dict[str, Sample]:
        playback = self._playing[key]
        if playback.series.mode == "stale":
            last = max(playback.history(), key=lambda sample: sample.at, default=None)
        else:
            value = playback.value_at(now)
            last = None if value is None else Sample(now, value)
        return {} if last is None else {key: last}

    def _remember(self) -> None:
        last = {key: [sample.at, sample.value] for key, sample in self._last.items()}
        write_private(self._file, json.dumps({"modes": self._modes, "last": last}))

    def _recall(self, document: dict[str, Any]) -> None:
        self._modes |= {k: v for k, v in document["modes"].items() if k in self._playing}
        self._last |= {k: Sample(*v) for k, v in document["last"].items() if k in self._playing}


def serve(show: Show, port: int) -> None:
    """Serve on 127.0.0.1 until the process is ended."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4", show.text(time.time()))
            elif self.path == "/modes":
                self._answer(200, "application/json", json.dumps(show.modes))
            else:
                self._answer(404, "text/plain", "/metrics, /modes\n")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                request = json.loads(body)
                show.set_mode(request.get("series"), request["mode"], now=time.time())
            except (SandboxError, ValueError, KeyError, AttributeError) as error:
                self._answer(400, "text/plain", f"{error}\n")
            else:
                self._answer(200, "application/json", json.dumps(show.modes))

        def log_message(self, *_: object) -> None:
            """A line per scrape would hide the errors."""

        def _answer(self, status: int, content_type: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    directory, port, started = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    show = Show(playbacks(load_spec(directory), started), directory / "modes.json")
    serve(show, port)


if __name__ == "__main__":
    main()

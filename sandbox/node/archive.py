"""An image as a value, and the archive in which containerd takes images in.

The archive is Docker's (https://github.com/moby/docker-image-spec/blob/main/v1.2.md): layers as tar
files, a configuration for each image, and a manifest.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self


@dataclass(frozen=True)
class Layer:
    """One tar file, and the SHA-256 of its bytes."""

    path: str
    digest: str


@dataclass(frozen=True)
class Image:
    """What a pod names as `reference`; `config` has Docker's keys (Cmd, Env, User, WorkingDir)."""

    reference: str
    architecture: str
    layers: tuple[Layer, ...]
    config: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        layers = [{"path": layer.path, "digest": layer.digest} for layer in self.layers]
        return {
            "reference": self.reference,
            "architecture": self.architecture,
            "layers": layers,
            "config": dict(self.config),
        }

    @classmethod
    def described(cls, plain: Mapping[str, Any]) -> Self:
        """What `describe` gave."""
        layers = tuple(Layer(**layer) for layer in plain["layers"])
        return cls(plain["reference"], plain["architecture"], layers, plain["config"])

    def configuration(self) -> bytes:
        """The image's configuration, by which it is known."""
        return json.dumps(
            {
                "architecture": self.architecture,
                "os": "linux",
                "config": dict(self.config),
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers],
                },
                "history": [{"created_by": "foretide sandbox"} for _ in self.layers],
            },
            sort_keys=True,
        ).encode()


def write_archive(images: Iterable[Image], output: IO[bytes]) -> None:
    """Write all images into one archive; a layer that several share is in it once."""
    manifest, written = [], set()
    with tarfile.open(fileobj=output, mode="w|") as archive:
        for image in images:
            configuration = image.configuration()
            name = f"{hashlib.sha256(configuration).hexdigest()}.json"
            if name not in written:
                _add(archive, name, io.BytesIO(configuration), len(configuration))
            written.add(name)
            for layer in image.layers:
                if layer.digest not in written:
                    path = Path(layer.path)
                    with path.open("rb") as file:
                        _add(archive, f"{layer.digest}.tar", file, path.stat().st_size)
                written.add(layer.digest)
            layers = [f"{layer.digest}.tar" for layer in image.layers]
            manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": layers})
        text = json.dumps(manifest).encode()
        _add(archive, "manifest.json", io.BytesIO(text), len(text))


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, content)


class LayerWriter:
    """Writes a layer: everything belongs to root, and parents come before what they hold."""

    def __init__(self, output: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=output, mode="w", format=tarfile.PAX_FORMAT)
        self._seen: set[str] = set()

    def close(self) -> None:
        self._tar.close()

    def folder(self, path: str, mode: int = 0o755) -> None:
        """A directory, and those above it."""
        name = path.strip("/")
        if not name or name in self._seen:
            return
        self.folder(_up(name))
        self._member(name, tarfile.DIRTYPE, mode)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self.folder(_up(path))
        if path.strip("/") not in self._seen:
            self._member(path.strip("/"), tarfile.SYMTYPE, 0o777, link=target)

    def text(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """A file with this content."""
        data = content.encode() if isinstance(content, str) else content
        self.folder(_up(path))
        self._member(path.strip("/"), tarfile.REGTYPE, mode, io.BytesIO(data), len(data))

    def file(self, path: str, source: Path, mode: int | None = None) -> None:
        """A copy of a file, with its time: by that Python knows that what it compiled is fresh."""
        name = path.strip("/")
        if name in self._seen:
            return
        self.folder(_up(path))
        status = source.stat()
        chosen = mode if mode is not None else (0o755 if status.st_mode & 0o100 else 0o644)
        with source.open("rb") as content:
            self._member(
                name, tarfile.REGTYPE, chosen, content, status.st_size, time=int(status.st_mtime)
            )

    def tree(self, path: str, source: Path) -> None:
        """A copy of a file, or of a directory with all below it but compiled Python."""
        if source.is_file():
            self.file(path, source)
            return
        self.folder(path)
        for below in sorted(source.rglob("*")):
            if "__pycache__" not in below.parts and below.is_file():
                self.file(f"{path}/{below.relative_to(source)}", below)

    def _member(
        self,
        name: str,
        kind: bytes,
        mode: int,
        content: IO[bytes] | None = None,
        size: int = 0,
        *,
        link: str = "",
        time: int = 0,
    ) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.size = kind, mode, size
        member.linkname, member.mtime = link, time
        self._tar.addfile(member, content)
        self._seen.add(name)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _up(path: str) -> str:
    return path.strip("/").rpartition("/")[0]

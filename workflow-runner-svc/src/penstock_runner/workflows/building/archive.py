"""Builds a package's archives with the standard library: the same files give the same bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable

from penstock_runner.workflows.building.packaging import PYTHON_REQUIRED, Package

_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644 << 16
_UNIX = 3


def source_archive(package: Package) -> bytes:
    """A zip with everything under one folder named after the package."""
    folder = f"{package.manifest.name}-{package.manifest.version}"
    return _zip((f"{folder}/{file.path}", file.text.encode()) for file in package.files)


def wheel_name(package: Package) -> str:
    return f"{package.manifest.name}-{package.manifest.version}-py3-none-any.whl"


def wheel(package: Package) -> bytes:
    """Installs without a build tool and without the network: `pip install <file>`. Tests stay outside."""
    name, version = package.manifest.name, package.manifest.version
    command = name.replace("_", "-")
    info = f"{name}-{version}.dist-info"
    readme = next(file.text for file in package.files if file.path == "README.md")
    summary = " ".join(package.manifest.title.split())
    metadata = (
        f"Metadata-Version: 2.1\nName: {command}\nVersion: {version}\nSummary: {summary}\n"
        f"Requires-Python: {PYTHON_REQUIRED}\nDescription-Content-Type: text/markdown\n\n{readme}"
    )
    members = [(file.path, file.text.encode()) for file in package.files if file.path.startswith(f"{name}/")]
    members += [
        (f"{info}/METADATA", metadata.encode()),
        (f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: penstock\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (f"{info}/entry_points.txt", f"[console_scripts]\n{command} = {package.manifest.entry_point}\n".encode()),
    ]
    record = "".join(f"{path},sha256={_record_digest(data)},{len(data)}\n" for path, data in members)
    return _zip([*members, (f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())])


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zip(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members:
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _FILE_MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()

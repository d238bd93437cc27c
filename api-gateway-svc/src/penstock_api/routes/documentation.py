"""/openapi.json and /docs. The page's assets come from this process: it works without a network, and tells nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath

from penstock_api.documentation.openapi import openapi_document
from penstock_api.problems import not_found

_FOLDER = Path(__file__).parent.parent / "documentation"
_ASSETS = {
    "swagger-ui-bundle.js": (_FOLDER / "vendor/swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_FOLDER / "vendor/swagger-ui/swagger-ui.css", "text/css"),
    "page.js": (_FOLDER / "page.js", "text/javascript"),
    "page.css": (_FOLDER / "page.css", "text/css"),
    "icon.svg": (_FOLDER / "icon.svg", "image/svg+xml"),
}
_ONLY_FROM_HERE = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}


@get("/openapi.json")
async def get_openapi() -> Response[bytes]:
    return Response(openapi_document(), media_type="application/json")


@get("/docs")
async def get_documentation() -> Response[bytes]:
    page = await asyncio.to_thread((_FOLDER / "page.html").read_bytes)
    return Response(page, media_type="text/html", headers=_ONLY_FROM_HERE)


@get("/docs/{asset:str}")
async def get_documentation_asset(asset: FromPath[str]) -> Response[bytes]:
    if asset not in _ASSETS:
        raise not_found("file")
    path, media_type = _ASSETS[asset]
    content = await asyncio.to_thread(path.read_bytes)
    return Response(content, media_type=media_type, headers={"Cache-Control": "max-age=3600", **_ONLY_FROM_HERE})

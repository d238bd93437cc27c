"""Fetches a file from the web and saves it, http and https only, with a limit on its size."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .desk import Desk, OpenUrl, ToolError
from .text import in_language_of

WORDS = (
    "download", "url", "http", "link", "fetch", "web page", "website", "crawl", "scrape", "scraping", "save to",
    "下载", "链接", "网址", "网页", "网站", "抓取", "爬取", "爬虫", "保存到本地", "ダウンロード", "descarg", "télécharg", "herunterlad",
)  # fmt: skip
EXAMPLES = (
    "Download https://example.com/report.txt",
    "下载 https://example.com/report.txt",
)

DOWNLOAD_BYTES_MAX = 20 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s<>\"'，。；、）】」]+")
_UNSAFE = re.compile(r"[^\w.-]+")


def file_name(url: str) -> str:
    """A name without folders, made from the last part of the address."""
    last = unquote(urlsplit(url).path).replace("\\", "/").rsplit("/", 1)[-1]
    return _UNSAFE.sub("_", last).strip("._")[:80] or "download"


def download(url: str, folder: Path, open_url: OpenUrl, bytes_max: int = DOWNLOAD_BYTES_MAX) -> Path:
    """Writes the file into `folder`; nothing is left behind when it is too large or breaks off."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ToolError(f"{url} is not an http or https address. Give one that begins with https://.")
    target = folder / file_name(url)
    if target.exists():
        raise ToolError(f"{target.name} is already there. Move it away first.")
    partial = target.with_name(target.name + ".part")
    received = 0
    try:
        with open_url(url) as response, partial.open("wb") as file:
            while block := response.read(_BLOCK_BYTES):
                received += len(block)
                if received > bytes_max:
                    raise ToolError(f"{url} is larger than {bytes_max} bytes. Choose a smaller file.")
                file.write(block)
        partial.rename(target)
    except OSError as error:
        raise ToolError(f"Cannot download {url}: {error}. Check the address and the connection.") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def answer(request: str, desk: Desk) -> str:
    found = _URL.search(request)
    if found is None:
        raise ToolError("There is no address in the request. Give one that begins with https://.")
    if desk.open_url is None:
        raise ToolError("This agent may not use the network here. Give it an `open_url`.")
    target = download(found.group(), desk.folder, desk.open_url)
    size = target.stat().st_size
    return in_language_of(request, f"Saved {target.name}, {size} bytes.", f"已保存 {target.name}，{size} 字节。")

"""Servers in this process that answer as Google Cloud Storage and the Hugging Face hub do.

As far as gcsfs and `HfFileSystem` ask: listing, what a file is, its bytes from any one on, and
small uploads. `refuse` is a status to answer everything with, and `files` are by bucket and name.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Files = dict[str, dict[str, bytes]]
SECRET = "hf_a-token-that-nobody-may-see"
SOME_DAY = "2026-11-30T00:00:00Z"


class Store(ThreadingHTTPServer):
    """A server of files; holds them, and whether it refuses."""

    def __init__(self, handler: type[Handler], files: Files) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.files, self.refuse = files, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """A client may hang up."""


class Handler(BaseHTTPRequestHandler):
    """What both have in common."""

    protocol_version = "HTTP/1.1"
    server: Store

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._respond(b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _respond(self, body: bytes) -> None:
        if self.server.refuse:
            said = {"code": self.server.refuse, "message": f"refused, token={SECRET}"}
            code = "GatedRepo" if self.server.refuse == 403 else ""
            self.say({"error": said}, self.server.refuse, X_Error_Code=code, X_Error_Message=SECRET)
            return
        url = urlsplit(self.path)
        self.answer(unquote(url.path), dict(parse_qsl(url.query)), body)

    def answer(self, path: str, asked: dict[str, str], body: bytes) -> None:
        raise NotImplementedError

    def say(self, what: object, status: int = 200, **headers: str) -> None:
        body = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_bytes(self, content: bytes, **headers: str) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self.say(content, **headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        place = f"bytes {first}-{last}/{len(content)}"
        self.say(content[first : last + 1], 206, Content_Range=place, **headers)


class GoogleStorage(Handler):
    """The JSON interface of Cloud Storage."""

    def answer(self, path: str, asked: dict[str, str], body: bytes) -> None:
        _, _, below = path.partition("/b/")
        bucket, _, name = below.partition("/o")
        files = self.server.files.get(bucket)
        if files is None:
            self.say({"error": {"code": 404, "message": "no such bucket"}}, 404)
        elif body:
            self._take(bucket, body)
        elif not name.strip("/"):
            self.say(self._listing(bucket, asked.get("prefix", ""), asked.get("delimiter", "")))
        elif name[1:] not in files:
            self.say({"error": {"code": 404, "message": "no such object"}}, 404)
        elif asked.get("alt") == "media":
            self.say_bytes(files[name[1:]])
        else:
            self.say(self._about(bucket, name[1:]))

    def _listing(self, bucket: str, prefix: str, delimiter: str) -> object:
        inside = [one for one in sorted(self.server.files[bucket]) if one.startswith(prefix)]
        deeper = {one for one in inside if delimiter and delimiter in one[len(prefix) :]}
        folders = {prefix + one[len(prefix) :].split("/")[0] + "/" for one in deeper}
        items = [self._about(bucket, one) for one in inside if one not in deeper]
        return {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)}

    def _about(self, bucket: str, name: str) -> dict[str, str]:
        content = self.server.files[bucket][name]
        etag = hashlib.sha256(content).hexdigest()
        times = {"updated": SOME_DAY, "timeCreated": SOME_DAY}
        return {"bucket": bucket, "name": name, "size": str(len(content)), "etag": etag, **times}

    def _take(self, bucket: str, body: bytes) -> None:
        """An upload in one: what it is, then its bytes."""
        head = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
        about, content = (
            part.get_payload(decode=True)
            for part in BytesParser().parsebytes(head + body).get_payload()
        )
        name = json.loads(about)["name"]
        self.server.files[bucket][name] = content
        self.say(self._about(bucket, name))


class Hub(Handler):
    """The hub with the data sets `files`, named ``org/name``."""

    def answer(self, path: str, asked: dict[str, str], body: bytes) -> None:
        found = re.fullmatch(r"/(api/)?datasets/([^/]+/[^/]+)(?:/([^/]+)/main/?(.*))?", path)
        repository = self.server.files.get(found[2]) if found else None
        if found is None or repository is None:
            self.say({"error": "no such repository"}, 404, X_Error_Code="RepoNotFound")
        elif found[3] == "resolve" and found[4] in repository:
            etag = hashlib.sha256(repository[found[4]]).hexdigest()
            self.say_bytes(repository[found[4]], ETag=f'"{etag}"', X_Repo_Commit="a" * 40)
        elif found[3] == "paths-info":
            paths = [value for key, value in self._paths(body) if key == "paths"]
            self.say([one for path in paths for one in self._about(repository, path)])
        elif found[3] == "tree":
            inside = found[4] + "/" if found[4] else ""
            names = {
                inside + one[len(inside) :].split("/")[0]
                for one in repository
                if one.startswith(inside)
            }
            missing = {"error": "no such entry"}
            listed = [one for path in sorted(names) for one in self._about(repository, path)]
            self.say(listed or missing, 200 if listed else 404, X_Error_Code="EntryNotFound")
        else:
            self.say(
                {"_id": "1", "id": found[2], "sha": "a" * 40, "private": False, "siblings": []}
            )

    def _paths(self, body: bytes) -> list[tuple[str, str]]:
        if body.startswith(b"{"):
            return [("paths", one) for one in json.loads(body)["paths"]]
        return parse_qsl(body.decode())

    def _about(self, repository: dict[str, bytes], path: str) -> list[dict[str, object]]:
        if path in repository:
            content = repository[path]
            oid = hashlib.sha1(content).hexdigest()
            return [{"type": "file", "oid": oid, "size": len(content), "path": path}]
        is_folder = any(one.startswith(f"{path}/") for one in repository)
        return (
            [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path}] if is_folder else []
        )

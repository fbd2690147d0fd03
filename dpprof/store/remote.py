"""Addresses of files that lie elsewhere (``s3://``, ``https://``, ...), through fsspec.

Only what the user typed is ever opened: nothing that a trace, a run folder, a listing or the
dashboard names leads to another place. Errors name addresses without what is secret in them.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dpprof.errors import DpprofError

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"[?#]\S*")
_SECRET = re.compile(r"(?i)\b((?:\w*(?:key|token|secret|signature|passw\w*|credential))\W{1,3})\S+")
_MOST_SHOWN = 200
_DENIED = ("403", "401", "forbidden", "credential", "denied", "unauthorized", "authentication")
_REFUSALS = ("401", "403")
_TOKEN = re.compile(r"\b(?:hf_|ya29\.|AKIA)[\w.-]+")
_LOGGERS = ("fsspec", "gcsfs", "s3fs", "aiobotocore", "botocore", "paramiko")
_HTTP = ("http", "https")
_SSH = ("ssh", "sftp")
_HELP = "pip install 'dpprof[remote]'"


class Place(NamedTuple):
    """A file system of fsspec, and a path on it; `address` is how the user names it."""

    system: Any
    path: str
    address: str

    @property
    def is_http(self) -> bool:
        """Whether this is a web server, whose folders are pages of links."""
        return self.address.partition("://")[0] in _HTTP

    @property
    def takes_turns(self) -> bool:
        """Whether it has one connection, on which only one may ask at a time: paramiko's."""
        return self.address.partition("://")[0] in _SSH


def address_of(path: str | os.PathLike[str]) -> str | None:
    """The address that a path is, where it is one; `Path` makes ``s3:/`` of ``s3://``."""
    text = os.fspath(path)
    found = _ADDRESS.match(text)
    if found is None or os.path.lexists(text):
        return None
    return f"{found[1].lower()}://{text[found.end() :]}"


def without_secrets(address: str) -> str:
    """The address as it may be printed: no user, no password, no query; paths as they are."""
    if "://" not in address:
        return address
    return _QUERY.sub("", _USER.sub("", address))


def open_place(address: str) -> Place:
    """The place of an address; raises `DpprofError` where nothing here can reach such ones."""
    shown = without_secrets(address)
    scheme = address.partition("://")[0]
    try:
        import fsspec
    except ImportError as error:
        raise DpprofError(f"{shown}: reading from {scheme}:// needs {_HELP}") from error
    if scheme not in fsspec.available_protocols() or "::" in address:
        raise DpprofError(f"{shown}: no such kind of address; give s3://, gs://, https://, ...")
    _keep_logs_to_those_who_ask()
    with said_plainly(address):
        system, path = fsspec.url_to_fs(address)
    return Place(system, path, address)


def _keep_logs_to_those_who_ask() -> None:
    """Without a handler of the user's, Python prints what file systems log: secrets, too."""
    for logger in map(logging.getLogger, _LOGGERS):
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


@contextmanager
def said_plainly(address: str, doing: str = "read") -> Iterator[None]:
    """Turn whatever a file system raises into a `DpprofError` that gives nothing away."""
    shown = without_secrets(address)
    try:
        yield
    except DpprofError:
        raise
    except ImportError:
        raise DpprofError(f"{shown}: what reaches it is not installed; {_HELP}") from None
    except FileNotFoundError as error:
        cause = error.__cause__  # the Hugging Face hub says so of what it refuses
        if isinstance(cause, Exception) and any(code in str(cause) for code in _REFUSALS):
            raise DpprofError(f"{shown}: {_why(cause, address, doing)}") from None
        raise DpprofError(
            f"{shown}: no such file or folder there; give a run folder or trace files"
        ) from None
    except Exception as error:  # noqa: BLE001 - each file system raises what its libraries do
        raise DpprofError(f"{shown}: {_why(error, address, doing)}") from None


def _why(error: Exception, address: str, doing: str) -> str:
    said = _plain(f"{type(error).__name__}: {error}", address)
    if isinstance(error, PermissionError) or any(word in said.lower() for word in _DENIED):
        return (
            f"may not be {doing} ({said}); log in as that store's own tools do (AWS_PROFILE, "
            "gcloud auth, hf auth login, an ssh key)"
        )
    return f"cannot be {doing} ({said}); look whether it is reachable, and try again"


def _plain(text: str, address: str) -> str:
    text = text.replace(address, without_secrets(address))
    text = _SECRET.sub(r"\1...", _TOKEN.sub("...", _QUERY.sub("", _USER.sub("", text))))
    return " ".join(text.split())[:_MOST_SHOWN]


def exists(address: str) -> bool:
    """Whether there is a file or folder; raises `DpprofError` where that cannot be told."""
    place = open_place(address)
    with said_plainly(address):
        return bool(place.system.exists(place.path))


def upload(path: Path, address: str) -> None:
    """Put a file, or a folder and what is in it, there; raises `DpprofError`.

    A folder takes the place of another that dpprof exported, never of anything else.
    """
    place = open_place(address)
    with said_plainly(address, "written"):
        if path.is_dir():
            _upload_folder(path, place)
        else:
            place.system.put_file(str(path), place.path)


def _upload_folder(folder: Path, place: Place) -> None:
    system, root = place.system, place.path.rstrip("/")
    if system.exists(root):
        if not system.exists(f"{root}/about.json"):
            raise DpprofError(
                f"{without_secrets(place.address)}: is not an export, so it is not replaced; "
                "choose another name"
            )
        system.rm(root, recursive=True)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            target = f"{root}/{file.relative_to(folder).as_posix()}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(file), target)

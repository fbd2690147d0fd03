"""Outputs at addresses (``s3://``, ``ssh://``, ...): made here, then put there whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dpprof.errors import DpprofError
from dpprof.store.remote import address_of, exists, upload, without_secrets
from dpprof.system.whole import working_folder


@contextmanager
def made_here(path: Path, *, force: bool) -> Iterator[Path]:
    """Where to write what shall lie at `path`: there, or for an address in a temporary folder.

    What stands at an address is replaced with `force` only, and once the block has ended well.
    Raises `DpprofError`.
    """
    address = address_of(path)
    if address is None:
        yield path
        return
    check_address(address, force=force)
    with working_folder() as folder:
        place = folder / PurePosixPath(without_secrets(address)).name
        yield place
        upload(place, address)


def check_address(address: str, *, force: bool) -> None:
    """Raise `DpprofError` where something stands there already, unless with `force`."""
    if not force and exists(address):
        raise DpprofError(
            f"{without_secrets(address)}: exists already; choose another name or add --force"
        )


def shown_output(path: Path) -> str:
    """How an output is called in messages: an address as it was typed, without secrets."""
    address = address_of(path)
    return str(path) if address is None else without_secrets(address)

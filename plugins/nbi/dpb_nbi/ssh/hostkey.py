"""The key by which clients know the broker again: made once, then kept."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

import asyncssh

from dpb_framework.errors import ConfigInvalid

NAME: Final = "ssh_host_ed25519_key"
_SETTING: Final = "host-key"


def default_file() -> Path:
    """Return the file in the user's data folder."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return base / "dpb" / NAME


def load(path: str) -> asyncssh.SSHKey:
    """Return the private key in the file *path* (empty: `default_file`), which is made when it is missing.

    `ConfigInvalid` when it cannot be, when it is no private key, or when others than its owner may read it.
    """
    file = Path(path) if path else default_file()
    try:
        with contextlib.suppress(FileExistsError):
            _make(file)
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ConfigInvalid(_SETTING, f"others may read or write {file}: chmod 600 it, or make a new one")
        text = file.read_bytes()
    except OSError as error:
        raise ConfigInvalid(_SETTING, f"{file} cannot be read or made: {error.strerror}") from error
    try:
        return asyncssh.import_private_key(text)
    except (ValueError, asyncssh.KeyEncryptionError) as error:
        # Nothing of the content is told.
        raise ConfigInvalid(_SETTING, f"{file} is no private key without a passphrase") from error


def _make(file: Path) -> None:
    """Make the file with all its content at once; `FileExistsError` when it is there, whoever made it."""
    if file.exists():
        return
    if not file.parent.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    text = asyncssh.generate_private_key("ssh-ed25519", comment="dpb").export_private_key()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as writing:
            writing.write(text)
            writing.flush()
            os.fsync(handle)
        os.link(draft, file)
    finally:
        draft.unlink()

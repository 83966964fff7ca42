"""Where the keys of endpoints come from: the environment first, then the operating system's keyring. Never a file.

A key can also be kept in memory (`remember_key`): it is put into this process's environment, which the work that it
starts inherits, and is gone when the process ends.

A key is known by the name of its environment variable; in the keyring that is the account of the service
"smolstudio". Keys are never logged, shown or written down here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from synth.errors import EndpointError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "smolstudio"
ENVIRONMENT: Literal["environment"] = "environment"
KEYRING: Literal["keyring"] = "keyring"
MEMORY: Literal["memory"] = "memory"
_remembered: set[str] = set()


def find_key(name: str) -> str:
    """The key of that name, or an empty string when it is nowhere (endpoints on one's own machine need none)."""
    return os.environ.get(name) or _stored(name)


def key_source(name: str) -> Literal["environment", "keyring", "memory"] | None:
    """Where the key of that name is found; None when it is nowhere."""
    if os.environ.get(name):
        return MEMORY if name in _remembered else ENVIRONMENT
    return KEYRING if _stored(name) else None


def store_key(name: str, key: str) -> None:
    """Put a key into the keyring. Raises EndpointError where there is none, or it refuses."""
    backend = _backend()
    if backend is None:
        raise _no_keyring(name)
    try:
        backend.set_password(SERVICE, name, key)
    except Exception as error:  # backends raise what their system raises; the key must not be in what is shown
        raise EndpointError(f"The keyring did not take the key ({type(error).__name__}).", _remedy(name)) from None


def remember_key(name: str, key: str) -> None:
    """Keep a key until this process ends; what it starts has it too."""
    os.environ[name] = key
    _remembered.add(name)


def forget_key(name: str) -> None:
    """Take a key out of memory, or else out of the keyring. Raises EndpointError where it was in neither."""
    if name in _remembered:
        _remembered.discard(name)
        os.environ.pop(name, None)
        return
    backend = _backend()
    if backend is None:
        raise _no_keyring(name)
    try:
        backend.delete_password(SERVICE, name)
    except Exception as error:
        raise EndpointError(
            f"The keyring gave up no key of that name ({type(error).__name__}).", "Remove it in the keyring itself."
        ) from None


def keyring_name() -> str | None:
    """What the keyring of this system calls itself; None where there is none."""
    backend = _backend()
    return None if backend is None else str(backend.name)


def _stored(name: str) -> str:
    backend = _backend()
    try:
        return (backend.get_password(SERVICE, name) or "") if backend else ""
    except Exception:  # locked, or its service is gone: as if it had none
        return ""


def _backend() -> KeyringBackend | None:
    """The system's keyring; None where it has none, or one that would write keys into plain files."""
    import keyring

    backend = keyring.get_keyring()
    return None if backend.priority <= 0 or type(backend).__module__.startswith("keyrings.alt") else backend


def _no_keyring(name: str) -> EndpointError:
    return EndpointError("This system has no keyring to keep keys in.", _remedy(name), "endpoint.keyring")


def _remedy(name: str) -> str:
    return f"Set the environment variable {name} before starting smolstudio."

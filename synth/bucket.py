"""A bucket of an S3-compatible store: whole objects, writes under a condition, and every failure as a sentence.

    bucket = Bucket(address("s3://team/models"))
    bucket.create("datasets/x.json", data)          # If-None-Match: of two writers exactly one wins
    bucket.replace("datasets/x.json", data, etag)   # If-Match: only what was read is written over

Keys and endpoint are read where other programs look for them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL, or AWS_PROFILE of ~/.aws/credentials. It knows nothing of datasets and
runs (`synth.shared`), and asks no instance for its role.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import StorageError, first_line
from synth.storage import sha256_bytes
from synth.workspace import is_address

SCHEME = "s3://"
CHUNK_BYTES = 8 << 20  # of what is read with one request
TIMEOUT_SEC = 60.0  # of one request
RETRIES = 6
RETRY_SEC = 60.0  # after which a request is not tried again
BROKEN_TRIES = 3
BROKEN_PAUSE_SEC = 0.5
_STATUS = re.compile(r"[45]\d\d [A-Z][A-Za-z ]+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class Missing(StorageError):
    """An object that is not there."""

    default_code = "storage.missing"


class Taken(StorageError):
    """A conditional write that another writer made impossible."""

    default_code = "storage.taken"


class Unavailable(StorageError):
    """A store that does not answer, or breaks off; `broken`: it is not known what became of the request."""

    default_code = "storage.unavailable"
    broken = False


class Address(NamedTuple):
    """A place in a bucket; its prefix may be empty."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def folder(self) -> str:
        """A name of its own for a folder of this machine."""
        return f"{self.bucket}-{sha256_bytes(str(self).encode())[:8]}"


def address(text: str | Path) -> Address:
    """`s3://BUCKET/PREFIX`. Raises StorageError for anything else."""
    bucket, _, prefix = str(text).removeprefix("s3:").lstrip("/").partition("/")
    prefix = prefix.strip("/")
    if not is_address(text) or not _BUCKET.fullmatch(bucket) or (prefix and not _PREFIX.fullmatch(prefix)):
        remedy = "Write s3://BUCKET or s3://BUCKET/PREFIX, in letters, digits, dots and dashes."
        raise StorageError(f"'{text}' is no address of a bucket.", remedy, "storage.address")
    return Address(bucket, prefix)


class Stored(NamedTuple):
    """An object's content, and the tag by which `replace` knows that it is still the same."""

    data: bytes
    etag: str


class Bucket:
    """Objects below an address. Every method raises StorageError where the store refuses or does not answer."""

    def __init__(self, place: Address) -> None:
        self.address = place
        self._store = _store(place)

    def read(self, key: str) -> Stored:
        """A small object. Raises Missing."""
        with self._faults():
            found = self._store.get(key)
            return Stored(bytes(found.bytes()), str(found.meta["e_tag"] or ""))

    def parts(self, key: str, size: int) -> Iterator[bytes]:
        """An object of `size` bytes, in parts of at most CHUNK_BYTES. Raises Missing."""
        for start in range(0, size, CHUNK_BYTES):
            with self._faults():
                part = bytes(self._store.get_range(key, start=start, end=min(start + CHUNK_BYTES, size)))
            yield part

    def size(self, key: str) -> int | None:
        """How many bytes an object has; None where it is not there."""
        try:
            with self._faults():
                return int(self._store.head(key)["size"])
        except Missing:
            return None

    def tags(self, prefix: str) -> dict[str, str]:
        """The keys below a prefix, with their tags."""
        with self._faults():
            return {str(one["path"]): str(one["e_tag"] or "") for page in self._store.list(prefix) for one in page}

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object whose key says what it holds, over whatever is there."""
        with self._faults():
            self._store.put(key, data)

    def create(self, key: str, data: bytes) -> str:
        """Write an object that must not be there; returns its tag. Raises Taken."""
        return self._on_condition(key, data, "create")

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Write over the object that has this tag; returns the new one. Raises Taken."""
        return self._on_condition(key, data, {"e_tag": etag})

    def _on_condition(self, key: str, data: bytes, mode: Any) -> str:
        """The client leaves it to us to ask again where a connection broke: under a condition nothing is done twice.

        What was written by an attempt whose answer was lost makes the next one `Taken`; the caller looks whose it is.
        """
        for left in range(BROKEN_TRIES, 0, -1):
            try:
                with self._faults():
                    return str(self._store.put(key, data, mode=mode, use_multipart=False)["e_tag"] or "")
            except Unavailable as error:
                if left == 1 or not error.broken:
                    raise
                time.sleep(BROKEN_PAUSE_SEC)
        raise AssertionError

    def require_conditions(self, key: str) -> None:
        """Raise StorageError for a store that ignores conditions: there two writers would both win."""
        mark = b'{"smolstudio": 1}\n'
        for _ in range(2):
            try:
                self.create(key, mark)
            except Taken:
                return
        message = f"The store of {self.address} ignores conditional writes, so that two machines could both win."
        remedy = "Take one that honours If-None-Match, as S3, MinIO, Ceph and R2 do."
        raise StorageError(message, remedy, "storage.unconditional")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn what the client raises into sentences."""
        from obstore import exceptions

        try:
            yield
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise Taken(f"Another machine wrote to {self.address} at the same time.", "Try again.") from error
        except (FileNotFoundError, exceptions.BaseError) as error:
            raise self._sentence(error) from error

    def _sentence(self, error: Exception) -> StorageError:
        from obstore import exceptions

        status = _STATUS.search(str(error))
        said = status.group(0) if status else _cause(error)
        if "NoSuchBucket" in str(error):
            message = f"There is no bucket '{self.address.bucket}'."
            return StorageError(message, "Check the name, or make the bucket first.", "storage.bucket")
        if isinstance(error, FileNotFoundError) or said.startswith("416"):  # the object ends before that range
            return Missing(f"Something of {self.address} is no longer there.", "List it, and try again.")
        denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        if denied or said[:3] in ("401", "403"):
            message = f"The store refuses these keys at {self.address}."
            remedy = "Check the keys, and that they may list, read and write there."
            return StorageError(message, remedy, "storage.refused")
        message = f"The store of {self.address} does not answer as it should ({said})."
        remedy = "What is whole there stays so; try again later, or check AWS_ENDPOINT_URL and the network."
        unavailable = Unavailable(message, remedy)
        unavailable.broken = status is None
        return unavailable


def _cause(error: Exception) -> str:
    """What a person can read of the client's words."""
    text = str(error)
    for words in ("timed out", "timeout", "connection refused", "dns error", "connection closed"):
        if words in text.lower():
            return words
    return first_line(error)[:160]


def _store(place: Address) -> Any:
    from obstore.store import S3Store

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    limits: Any = {"timeout": timedelta(seconds=TIMEOUT_SEC), "allow_http": endpoint.startswith("http://")}
    pauses: Any = {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2}
    retry: Any = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SEC), "backoff": pauses}
    config: Any = {**_keys(), **({"endpoint": endpoint} if endpoint else {})}
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=config,
            client_options=limits,
            retry_config=retry,
        )
    except Exception as error:  # a setting of the environment that the client does not understand
        message = f"The settings for {place} are not understood ({first_line(error)})."
        raise StorageError(message, "Check the AWS_ variables of the environment.", "storage.settings") from error


def _keys() -> dict[str, str]:
    """The keys of a profile where the environment holds none. Raises StorageError where there are none at all."""
    set_ = os.environ.get
    if (set_("AWS_ACCESS_KEY_ID") and set_("AWS_SECRET_ACCESS_KEY")) or set_("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return {}
    if set_("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") or set_("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return {}
    file = Path(set_("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    profile = set_("AWS_PROFILE") or "default"
    found = _profile(file, profile)
    if not {"access_key_id", "secret_access_key"} <= found.keys():
        message = f"There are no keys for the bucket: neither AWS_ACCESS_KEY_ID nor the profile '{profile}' of {file}."
        raise StorageError(message, "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.", "storage.credentials")
    return found


def _profile(file: Path, profile: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
        section = parser[profile]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError):
        return {}
    names = {f"aws_{name}": name for name in ("access_key_id", "secret_access_key", "session_token")}
    return {ours: section[theirs] for theirs, ours in names.items() if section.get(theirs)}

"""People look at rows one by one: an append-only trail of what they decided, and the dataset that follows from it.

    datasets/<name>/reviews.jsonl      one line per decision: when, who, which row, what, why

The dataset itself never changes. `apply_reviews` makes a new one: rejected rows in its rejected.jsonl, edited rows
checked again, every decision in the lineage of its row, and the trail that was applied beside it (`applied.jsonl`).
The last decision about a row counts; `reset` takes back all that came before it.
"""

from __future__ import annotations

import getpass
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from synth.build import now_utc
from synth.curation.derive import Dropped, derive
from synth.curation.edit import changes as changes_of
from synth.curation.edit import fields_of, with_fields
from synth.curation.recheck import check_failures
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example
from synth.progress import ProgressFn, silent
from synth.storage import DirLock, Journal, open_plain, sha256_bytes
from synth.workspace import Workspace

REVIEWS = "reviews.jsonl"
APPLIED = "applied.jsonl"
Action = Literal["approve", "reject", "edit", "reset"]
STATES = ("approved", "rejected", "edited")
WAIT_SEC = 30.0
"""How long one reviewer's click waits for another's to be on disk."""
_MAX_NAME, _MAX_REASON, _COUNTED_REASON = 80, 2000, 80


class Change(BaseModel):
    """A text before and after an edit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: str
    after: str


class Review(BaseModel):
    """One decision. `at` is UTC, `changes` by field (`edit.FIELDS`), `doubts` the check failures overruled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    at: str
    by: str
    row: str
    action: Action
    reason: str = ""
    changes: dict[str, Change] = {}
    doubts: tuple[str, ...] = ()


class Reviews(NamedTuple):
    """Every decision about a dataset: by row id, oldest first; lines that cannot be read; the bytes they came from."""

    trails: Mapping[str, tuple[Review, ...]]
    faults: tuple[str, ...]
    content: bytes

    def trail(self, row_id: str) -> tuple[Review, ...]:
        """The decisions about a row, oldest first."""
        return self.trails.get(row_id, ())

    def counts(self) -> dict[str, int]:
        """Rows that are approved, rejected and edited; an edited row can also be approved."""
        counted = Counter(state for trail in self.trails.values() for state in states(trail))
        return {state: counted[state] for state in STATES}


def states(trail: tuple[Review, ...]) -> tuple[str, ...]:
    """How a row stands after these decisions: some of STATES; none when nobody decided, or all was taken back."""
    edited, verdict = False, ""
    for review in trail:
        if review.action in ("edit", "reset"):
            edited, verdict = review.action == "edit", ""
        else:
            verdict = "approved" if review.action == "approve" else "rejected"
    return tuple(s for s in STATES if s == verdict or (s == "edited" and edited and verdict != "rejected"))


def default_reviewer() -> str:
    """The name of the user of this machine, for those who give no other."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no entry for this user id, as in some containers
        return "unknown"


def read_reviews(dataset: DatasetDir) -> Reviews:
    """The dataset's trail. A torn last line was never recorded; another line that cannot be read is a fault."""
    file = dataset.path / REVIEWS
    content = file.read_bytes() if file.is_file() else b""
    content = content[: content.rfind(b"\n") + 1]
    trails: dict[str, list[Review]] = defaultdict(list)
    faults = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            review = Review.model_validate_json(line)
        except ValidationError as error:
            faults.append(f"{REVIEWS} line {number}: {error.errors()[0]['msg']}")
        else:
            trails[review.row].append(review)
    return Reviews({row: tuple(trail) for row, trail in trails.items()}, tuple(faults), content)


def find_row(dataset: DatasetDir, row_id: str) -> Example:
    """The row of that id, or whose id begins so, when only one does. Raises DataError."""
    found = {row.id: row for row in _rows_beginning(dataset, row_id)}
    if row_id in found:
        return found[row_id]
    if len(found) == 1:
        return found.popitem()[1]
    if found:
        raise DataError(f"'{row_id}' begins {len(found)} ids of {dataset.name}.", "Give more of the id.")
    message = f"There is no row '{row_id[:80]}' in {dataset.name}."
    raise DataError(message, "Check the dataset: the row may be of another one.", "review.row")


def _rows_beginning(dataset: DatasetDir, id_start: str) -> Iterator[Example]:
    """Rows whose id begins so; only lines that hold the text anywhere are parsed."""
    needle = id_start.encode("utf-8", "replace")
    files = [dataset.path / f"{split}.jsonl" for split in dataset.splits()]
    for file in files if needle else []:
        with open_plain(file) as lines:
            for line in lines:
                if needle in line and (row := _row(line)) and row.id.startswith(id_start):
                    yield row


def _row(line: bytes) -> Example | None:
    try:
        return Example.model_validate_json(line)
    except ValidationError:  # `data check` names such lines
        return None


def as_reviewed(original: Example, trail: tuple[Review, ...]) -> Example:
    """The row with its edits. Raises DataError when the texts are not those that were edited."""
    row = original
    for review in trail:
        if review.action == "reset":
            row = original
        texts = fields_of(row)
        if any(texts.get(field) != change.before for field, change in review.changes.items()):
            message = f"{original.id[:8]} is no longer the row that {review.by} edited."
            raise DataError(message, "Take the edit back (reset) and edit again.", "review.changed")
        if review.changes:
            row = with_fields(row, {field: change.after for field, change in review.changes.items()})
    return row


def record(
    dataset: DatasetDir,
    row_id: str,
    action: Action,
    by: str,
    reason: str = "",
    values: Mapping[str, str] | None = None,
    force: bool = False,
    seen: int | None = None,
) -> Review:
    """Add one decision to the trail; it is on disk when this returns.

    Args:
        row_id: an id, or the beginning of one.
        values: for an edit, field (`edit.FIELDS`) → new text; a target made of the other fields follows them.
        force: record an edit that the checks speak against, and what they said.
        seen: how many decisions about the row the person knows of; None does not ask.

    Raises:
        DataError: no such row, no name, no reason for a rejection, nothing edited; code `review.stale` when somebody
            else decided meanwhile, `review.doubt` when the checks speak against an edit.
        StorageError: the disk refuses, or the trail is held by another process.
    """
    by, reason = _one_line(by, _MAX_NAME), _one_line(reason, _MAX_REASON)
    if not by:
        raise DataError("A decision needs the name of who made it.", "Give a name.")
    if action == "reject" and not reason:
        raise DataError("A rejection needs a reason.", "Say in a few words what is wrong.")
    with DirLock(dataset.path, WAIT_SEC):
        original = find_row(dataset, row_id)
        trail = read_reviews(dataset).trail(original.id)
        if seen is not None and seen != len(trail):
            who = f"{trail[-1].by} decided" if trail else "Something changed"
            message = f"{who} about this row meanwhile; your decision was not recorded."
            raise DataError(message, "Look at the row again, then decide.", "review.stale")
        if action == "reset" and not trail:
            raise DataError("Nobody decided about this row yet.", "Approve, reject or edit it first.")
        review = Review(at=now_utc(), by=by, row=original.id, action=action, reason=reason)
        if action == "edit":
            review = _edited(dataset, original, trail, review, values or {}, force)
        with Journal(dataset.path / REVIEWS) as journal:
            journal.append(review.model_dump(mode="json", exclude_defaults=True))
    return review


def _one_line(text: str, limit: int) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())
    return " ".join(shown.split())[:limit]


def _edited(
    dataset: DatasetDir,
    original: Example,
    trail: tuple[Review, ...],
    review: Review,
    values: Mapping[str, str],
    force: bool,
) -> Review:
    """The review with its changes and doubts."""
    before = as_reviewed(original, trail)
    changed = changes_of(before, values)
    if not changed:
        raise DataError("Nothing was changed.", "Change a text, or approve the row as it is.")
    after = with_fields(before, changed)
    if after.id != original.id and any(_rows_beginning(dataset, after.id)):
        raise DataError("Another row of the dataset asks that already.", "Reject one of them instead.")
    against = check_failures(after, original)
    if against and not force:
        remedy = (
            "Fix it, or save it anyway with --force (in the studio: the box below): what the checks said is recorded."
        )
        raise DataError(" ".join(against), remedy, "review.doubt")
    texts = fields_of(before)
    return review.model_copy(
        update={
            "changes": {f: Change(before=texts[f], after=text) for f, text in changed.items()},
            "doubts": against,
        }
    )


# --- the reviewed dataset ----------------------------------------------------------------------------------------


def apply_reviews(
    source: DatasetDir,
    name: str,
    workspace: Workspace,
    approved_only: bool = False,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
) -> DatasetDir:
    """The dataset `name` that follows from the decisions about `source`.

    Args:
        approved_only: drop the rows that nobody approved or edited.

    Raises:
        DataError: nobody decided anything, a line of the trail cannot be read, or no training row is left.
        StorageError: the name is taken, or the disk refuses.
    """
    reviews = read_reviews(source)
    if reviews.faults:
        message = f"A decision may be missing: {reviews.faults[0]}."
        raise DataError(message, "Fix that line, or delete it and decide again.", "review.torn")
    if not any(map(states, reviews.trails.values())):
        raise DataError(f"Nobody has decided about a row of {source.name} yet.", "Approve, reject or edit some rows.")
    present = {row.id for split in source.splits() for row in source.examples(split)}
    notes = {
        "review": {
            **reviews.counts(),
            "approved_only": approved_only,
            "by": sorted({review.by for trail in reviews.trails.values() for review in trail}),
            "trail_sha256": sha256_bytes(reviews.content),
            "rows_not_there": sorted(row for row in reviews.trails if row not in present),
        }
    }
    rows = _outcomes(source, reviews, present, approved_only)
    return derive(source, name, workspace, rows, notes, {APPLIED: reviews.content}, on_progress, stop)


def _outcomes(
    source: DatasetDir, reviews: Reviews, present: set[str], approved_only: bool
) -> Iterator[Example | Dropped]:
    taken = set(present)
    for split in source.splits():
        for original in source.examples(split):
            outcome = _outcome(original, reviews.trail(original.id), approved_only)
            if isinstance(outcome, Example) and outcome.id != original.id:
                if outcome.id in taken:
                    outcome = Dropped(outcome, "asks what another row asks, after an edit by hand")
                else:
                    taken.add(outcome.id)
            yield outcome


def _outcome(original: Example, trail: tuple[Review, ...], approved_only: bool) -> Example | Dropped:
    found = states(trail)
    if not found:
        return Dropped(original, "nobody approved it") if approved_only else original
    try:
        row = _signed(as_reviewed(original, trail), original, trail)
    except DataError:
        return Dropped(original, "edited by hand, but no longer the row that was edited")
    if "rejected" in found:
        return Dropped(row, f"rejected by hand: {trail[-1].reason[:_COUNTED_REASON]}")
    known = next((review.doubts for review in reversed(trail) if review.action == "edit"), ())
    if "edited" in found and not set(check_failures(row, original)) <= set(known):
        return Dropped(row, "edited by hand, and a check speaks against it")
    return row


def _signed(row: Example, original: Example, trail: tuple[Review, ...]) -> Example:
    """The row with the decisions about it in its lineage, after those of earlier rounds."""
    decisions = [review.model_dump(mode="json", exclude_defaults=True) for review in trail]
    note: dict[str, Any] = {"row": original.id, "states": list(states(trail)), "decisions": decisions}
    return row.model_copy(update={"source": {**row.source, "by_hand": [*row.source.get("by_hand", []), note]}})

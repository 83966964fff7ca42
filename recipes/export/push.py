"""An export taken to a model hub: what would be sent is said first, and it is private unless somebody asks otherwise.

    plan = planned(folder, "hub:OWNER/NAME", public=False)    # reads the folder, asks nobody
    url = push(plan)                                          # creates the repository, and sends one commit

The hub is huggingface_hub's (HF_ENDPOINT), its token that of HF_TOKEN or of `hf auth login`; tokens are neither read
here nor shown. A repository that holds other files, or is seen by more people than was asked for, is left as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from recipes.export.exporter import MANIFEST, verify
from synth.errors import EndpointError, ModelError, UserError, first_line
from synth.storage import read_json

SCHEME = "hub:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_TEXTS = (".json", ".md", ".txt", ".yaml", ".jinja", "Modelfile")
_PATH = re.compile(r"(?<![\w.:/])/(?:home|Users|root|work|tmp|mnt|data|srv|opt|var)/[^\s\"'`,)]+")
OWN = {".gitattributes"}
"""What a hub adds by itself."""


class Sent(NamedTuple):
    """A file by its name in the repository."""

    name: str
    bytes: int


class Plan(NamedTuple):
    """What would be sent where; `said` is what to know before saying yes."""

    folder: Path
    repo: str
    public: bool
    files: tuple[Sent, ...]
    licence: str
    said: tuple[str, ...]


def planned(folder: Path, to: str, public: bool = False) -> Plan:
    """What a push would do. Raises ModelError for a folder that is no sound export, or may not be made public."""
    repo = to.removeprefix(SCHEME)
    if not to.startswith(SCHEME) or not _NAME.fullmatch(repo):
        raise ModelError(f"'{to}' is no place on a hub.", "Write --to hub:OWNER/NAME.", "push.target")
    if faults := verify(folder):
        raise ModelError(f"{folder.name} is not sent: {' '.join(faults)}", "Export it again.", "push.damaged")
    facts = read_json(folder / MANIFEST)
    licence = facts.get("licence") or {}
    name = str(licence.get("name", ""))
    if public and not name:
        message = f"Nobody states the licence of {facts['base_model']}, so that it is not made public."
        raise ModelError(message, "Push it privately, and look the licence up first.", "push.licence")
    files = [Sent(file, int(one["bytes"])) for file, one in facts["files"].items()]
    files.append(Sent(MANIFEST, (folder / MANIFEST).stat().st_size))
    return Plan(folder, repo, public, tuple(files), name, tuple(_notices(folder, facts, licence, files)))


def _notices(folder: Path, facts: dict[str, Any], licence: dict[str, Any], files: list[Sent]) -> list[str]:
    names = [str(facts[key]) for key in ("base_model", "run", "recipe") if facts.get(key)]
    said = [f"Card and manifest name: {', '.join(names)}."]
    said.append(f"Licence of the base: {licence['name']}." if licence.get("name") else "The base states no licence.")
    if licence.get("consent"):
        said.append("Its makers ask for consent to it: see what it asks of those who pass a derivative on.")
    for file in files:
        if file.name.endswith(_TEXTS):
            found = sorted(set(_PATH.findall((folder / file.name).read_text("utf-8", "replace"))))
            said += [f"{file.name} names a path of this machine: {path[:120]}" for path in found[:3]]
    return said


def push(plan: Plan) -> str:
    """Create the repository where it is not there, and send the files as one commit; returns its address.

    Raises EndpointError where there is no token, no hub, or a repository that is not what was asked for.
    """
    import huggingface_hub
    from huggingface_hub import errors

    if not huggingface_hub.get_token():
        message = "There is no token for the hub."
        raise EndpointError(message, "Set HF_TOKEN, or run `hf auth login`; then push again.", "push.token")
    api = huggingface_hub.HfApi()
    try:
        try:
            _refuse_other(plan, api.model_info(plan.repo))
        except errors.RepositoryNotFoundError:
            api.create_repo(plan.repo, private=not plan.public, exist_ok=False)
            _refuse_other(plan, api.model_info(plan.repo))  # an organisation's settings may decide otherwise
        api.upload_folder(
            repo_id=plan.repo,
            folder_path=plan.folder,
            allow_patterns=[file.name for file in plan.files],
            commit_message=f"{plan.folder.name}, exported by smolstudio",
        )
    except UserError:
        raise
    except errors.OfflineModeIsEnabled as error:
        message = "The hub is switched off by HF_HUB_OFFLINE."
        raise EndpointError(message, "Unset HF_HUB_OFFLINE and push again.", "push.offline") from error
    except Exception as error:  # whatever the hub's library and the one below it raise
        message = f"The hub did not take it ({type(error).__name__}: {first_line(error)[:200]})."
        raise EndpointError(message, "Check the token's rights, the name and the network.", "push.hub") from error
    return f"{api.endpoint}/{plan.repo}"


def _refuse_other(plan: Plan, found: Any) -> None:
    """Raise EndpointError for a repository of other visibility, or with files that are not of this export."""
    if bool(found.private) == plan.public:
        is_, asked = ("private", "public") if plan.public else ("public", "private")
        message = f"{plan.repo} is {is_}, and {asked} was asked for. Nothing was sent."
        raise EndpointError(message, "Change it on the hub, or give another name.", "push.visibility")
    there = {one.rfilename for one in found.siblings or ()} - OWN - {file.name for file in plan.files}
    if there:
        names = ", ".join(sorted(there)[:5])
        message = f"{plan.repo} holds other files ({names}), which would be mixed with these. Nothing was sent."
        raise EndpointError(message, "Give another name, or empty it first.", "push.mixed")

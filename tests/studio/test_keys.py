"""Keys of endpoints: environment before keyring, in no file and on no page; a sentence where there is no keyring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend

from studio.state.endpoints import Endpoint as Known
from studio.state.endpoints import save_endpoints
from studio.stub.endpoint import serve_in_thread
from synth.endpoint import Ask, Endpoint, Settings, keys
from synth.errors import EndpointError
from synth.example import user
from synth.workspace import Workspace
from tests.studio.test_views import page, text

SECRET = "sk-keyring-0123456789"
NAME = "MY_LARGE_KEY"


class Memory(KeyringBackend):
    """A keyring that forgets when the test ends."""

    priority = 9.0  # type: ignore[assignment]
    name = "the keyring of tests"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if username == "REFUSED":
            raise RuntimeError(f"no room for {password}")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def ring() -> Iterator[Memory]:
    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def test_environment_comes_before_the_keyring(ring: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (keys.find_key(NAME), keys.key_source(NAME)) == ("", None)
    keys.store_key(NAME, SECRET)
    assert ring.kept == {("smolstudio", NAME): SECRET}
    assert (keys.find_key(NAME), keys.key_source(NAME)) == (SECRET, "keyring")
    monkeypatch.setenv(NAME, "from-the-environment")
    assert (keys.find_key(NAME), keys.key_source(NAME)) == ("from-the-environment", "environment")
    keys.forget_key(NAME)
    assert ring.kept == {}


@pytest.mark.usefixtures("ring")
def test_an_endpoint_is_asked_with_the_key_of_the_keyring() -> None:
    keys.store_key(NAME, SECRET)
    with serve_in_thread() as stub, Endpoint(Settings(stub.base_url, "stub-model", NAME)) as endpoint:
        assert endpoint.ask(Ask((user("What is 2 + 2?"),))).ok
        with endpoint._http.lend() as http:
            assert http.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.usefixtures("ring")
def test_a_keyring_that_refuses_does_not_give_the_key_away() -> None:
    with pytest.raises(EndpointError) as caught:
        keys.store_key("REFUSED", SECRET)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    with pytest.raises(EndpointError, match="no key of that name"):
        keys.forget_key("NEVER_STORED")


def test_without_a_keyring_the_sentence_names_the_variable() -> None:
    assert keys.keyring_name() is None
    assert keys.find_key(NAME) == ""
    with pytest.raises(EndpointError, match=f"no keyring.*environment variable {NAME}"):
        keys.store_key(NAME, SECRET)
    assert "or set it as an environment variable" in text(page("settings"))


@pytest.mark.slow
def test_the_page_saves_a_key_and_shows_it_nowhere(ring: Memory, workspace: Workspace) -> None:
    known = Known(name="large", base_url="https://example.test/v1", model="large-1", api_key_env=NAME)
    save_endpoints(workspace, [known])
    app = page("settings")
    assert "no key found" in text(app)
    next(i for i in app.text_input if i.label == "Secret").set_value(SECRET)
    next(b for b in app.button if b.label == "Save in the keyring").click().run()
    assert ring.kept == {("smolstudio", NAME): SECRET}
    assert "key from the keyring" in text(app)
    assert SECRET not in text(app)
    assert SECRET not in [i.value for i in app.text_input]
    assert SECRET not in str(app.session_state)
    written = [p.read_text("utf-8", "replace") for p in workspace.path.rglob("*") if p.is_file()]
    assert written and not any(SECRET in content for content in written)


@pytest.mark.slow
def test_prices_of_machines_and_models_are_set_on_the_page(workspace: Workspace) -> None:
    from evaluate.cost import prices

    app = page("settings")
    next(n for n in app.number_input if n.label == "USD per hour").set_value(0.42)
    next(b for b in app.button if b.label == "Set price of an hour").click().run()
    assert prices.load(workspace=Path(workspace.path)).price("this machine", "hour") == 0.42
    next(s for s in app.selectbox if s.label.startswith("Model")).set_value("gpt-4o")
    next(n for n in app.number_input if n.label == "USD").set_value(3.5)
    next(b for b in app.button if b.label == "Set price").click().run()
    assert prices.load(workspace=workspace.path).price("gpt-4o", "input_mtok") == 3.5

from __future__ import annotations

import pytest
from pydantic import ValidationError

from synth.example import (
    Example,
    ImagePart,
    Message,
    ToolCall,
    assistant,
    make_example,
    media_parts,
    system,
    text_of,
    user,
)


def test_row_survives_json_and_short_content_stays_short() -> None:
    image = ImagePart(path="media/a.png", sha256="aa")
    row = make_example([system("Be brief."), user("How many?", image)], "Answer: 3", family="f", template="t")
    again = Example.model_validate_json(row.model_dump_json())
    assert again == row
    assert '"content":"Be brief."' in row.model_dump_json()
    assert media_parts(again) == [image]
    assert text_of(again) == "How many?"


def test_id_depends_on_the_prompt_and_media_hash_only() -> None:
    def row(path: str, sha: str, target: str = "x") -> str:
        return make_example([user("q", ImagePart(path=path, sha256=sha))], target, family="f", template="t").id

    assert row("a.png", "1") == row("b.png", "1", target="other")
    assert row("a.png", "1") != row("a.png", "2")
    assert make_example([user("q")], "", family="f", template="t").id != row("a.png", "1")
    assert (
        make_example([user("q")], "", family="f", template="t").id
        != make_example([assistant("q")], "", family="f", template="t").id
    )


@pytest.mark.parametrize("change", [{"surprise": 1}, {"split": "exam"}, {"prompt": []}, {"version": 2}])
def test_unknown_keys_and_values_are_refused(change: dict[str, object]) -> None:
    good = make_example([user("q")], "a", family="f", template="t").model_dump()
    with pytest.raises(ValidationError):
        Example.model_validate({**good, **change})


def test_rows_are_frozen() -> None:
    message = Message(role="user", content="hello")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        message.role = "system"  # type: ignore[misc]


def test_rows_of_before_open_and_rows_without_tools_are_written_as_before() -> None:
    row = make_example([user("q")], "a", answer="a", family="f", template="t")
    written = row.model_dump()
    assert set(written) == {
        "version", "id", "prompt", "target", "answer", "rejected", "split", "family", "template", "scorer", "source",
        "origin",
    }  # fmt: skip
    assert written["prompt"] == ({"role": "user", "content": "q"},)
    assert Example.model_validate(written) == row


def test_tool_calls_reasoning_and_labels_survive_json_and_tool_calls_are_part_of_the_id() -> None:
    def row(city: str) -> Example:
        call = ToolCall(name="weather", arguments={"city": city}, id="c1")
        turns = [
            user("Warm?"),
            Message(role="assistant", content=(), tool_calls=(call,), reasoning="ask", learn=False),
            Message(role="tool", content="12", tool_call_id="c1"),  # type: ignore[arg-type]
        ]
        tools = ({"type": "function", "function": {"name": "weather"}},)
        return make_example(turns, "No.", family="f", template="t", tools=tools, label=False, reasoning="12 is cold")

    assert Example.model_validate_json(row("Oslo").model_dump_json()) == row("Oslo")
    assert row("Oslo").id != row("Rome").id
    assert row("Oslo").target_message.reasoning == "12 is cold"

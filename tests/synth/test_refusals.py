"""Rows, replies and keys at the edges of what is accepted: each is read as it was meant, or refused with its reason."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from PIL import Image

from synth.dataset import DatasetDir
from synth.endpoint import keys
from synth.endpoint.bodies import reply_of
from synth.endpoint.reported_usage import read_usage
from synth.endpoint.wire import (
    Ask,
    Piece,
    Unreadable,
    chat_payload,
    lines,
    read_body,
    streamed_piece,
    transcription_file,
)
from synth.errors import DataError, EndpointError
from synth.example import AudioPart, ImagePart, Message, TextPart, user
from synth.importing.images import decode_image, read_image
from synth.importing.importer import Options, import_data
from synth.importing.joined import JSON_ANSWER
from synth.importing.pasted import read_pasted
from synth.importing.preview import columns_of, guess_roles, half_width_points, preview, shares_for
from synth.importing.uploads import as_flac, as_png
from synth.workspace import Workspace

ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def turns(*found: Any, **beside: Any) -> dict[str, Any]:
    return {"messages": list(found), **beside}


def asked(*parts: Any) -> dict[str, Any]:
    return turns({"role": "user", "content": list(parts)}, ANSWERED)


def answered(**fields: Any) -> dict[str, Any]:
    return turns(ASKED, {"role": "assistant", **fields})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": "[{broken"}, "turns that are not JSON"),
    ({"messages": []}, "no turns"),
    ({"messages": 7}, "no turns"),
    (turns(7, ANSWERED), "a turn is not an object"),
    (turns(ASKED), "no assistant turn at the end"),
    (turns({"role": "alien", "content": "q"}, ANSWERED), "wrong roles: not system, user, assistant or tool"),
    (turns({**ASKED, "from": "gpt"}, ANSWERED), "a turn has both 'role' and 'from', and they differ"),
    (turns({**ASKED, "value": "z"}, ANSWERED), "a turn has both 'content' and 'value', and they differ"),
    (answered(content="a", weight=2), "a turn's weight is neither 0 nor 1"),
    (turns({**ASKED, "weight": 1}, ANSWERED), "a turn that is not the assistant's is to be learned"),
    (answered(tool_calls="{"), "tool_calls are not JSON"),
    (answered(tool_calls=[{"function": {}}]), "a tool call without the name of its function"),
    (answered(content=[{"type": "tool_call", "value": "{"}]), "a tool call is not JSON"),
    (turns(ASKED, {"from": "function_call", "value": "{"}), "a function_call turn is not JSON"),
    (turns(ASKED, ANSWERED, tools="{"), "the tools are not JSON"),
    (turns(ASKED, ANSWERED, tools=[7]), "the tools are no list of objects"),
    (asked({"type": "text"}), "a turn has a part without its text"),
    (asked(7), "a turn has parts that are not text, picture or recording"),
    (asked({"a": 1}), "a turn has parts that are not text"),
    (asked({"type": "video", "video": "x"}), "a turn has a part of type video"),
    (asked({"type": "image", "image": "x.png"}), "has a picture; import it as vision"),
    (asked({"type": "image"}), "has a picture"),
    (asked({"type": "image", "file": "x"}), "a picture that is named by 'file'"),
    (asked({"type": "audio"}), "has a recording"),
    (asked({"type": "input_audio", "input_audio": {"data": "AA"}}), "has a recording; import it as audio"),
    ({"question": "q", "choices": "['x', 'y'", "answer": "x"}, "not 2 to 26 choices"),
    ({"question": "q", "choices": ["x"], "answer": "x"}, "not 2 to 26 choices"),
    ({"question": "q", "choices": ["x", "x"], "answer": "x"}, "two choices are the same"),
    ({"question": "q", "choices": ["x", "y"], "answer": "z"}, "the answer is none of the choices"),
    ({"question": "q", "choices": ["x", "y"], "answer": True}, "the answer is none of the choices"),
    ({"question": "q", "choices": ["1", "0"], "answer": 1},
     "the answer is the place of one choice and the text of another"),
]  # fmt: skip


def test_each_row_that_cannot_be_learned_is_set_aside_with_its_own_reason(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = {"question": "how many?", "answer": 4}
    file.write_text("".join(json.dumps(row) + "\n" for row, _ in [*REFUSED, (good, "")]))
    report = import_data(file, "mine", workspace, Options(modality="text"))
    assert list(report.rejected) == [(line, reason) for line, (_, reason) in enumerate(REFUSED, 1)]
    assert report.kept == 1 and report.rejected_rows == len(REFUSED)


def test_calls_and_reasoning_are_read_however_they_are_written(workspace: Workspace, tmp_path: Path) -> None:
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1.5}}
    thought = {"type": "thinking", "thinking": "hm"}
    rows = [
        turns({"role": "user", "content": "1"}, {"role": "assistant", "content": [call]},
              {"role": "tool", "content": {"y": 2}}, ANSWERED),
        turns({"role": "user", "content": "2"}, {"from": "function_call", "value": '{"name": "f", "arguments": "x"}'},
              {"from": "observation", "value": "5"}, ANSWERED),
        turns({"role": "user", "content": "3"},
              {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
              {"role": "function", "content": "x"}, ANSWERED, tools=[{"name": "f", "input_schema": {}}]),
        turns({"role": "user", "content": "4"},
              {"role": "assistant", "content": [thought, {"type": "text", "text": "a"}]}),
        asked("q1", {"type": "text", "value": "q2"}),
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_data(tmp_path / "rows.jsonl", "mine", workspace, Options(modality="text", shares={"train": 1.0}))
    found = {row.prompt[0].text: row for row in DatasetDir(workspace.datasets / "mine").examples("train")}
    arguments = [found[n].prompt[1].tool_calls[0].arguments for n in "123"]
    assert arguments == [{"x": 1.5}, "x", {}] and [found[n].target for n in "123"] == ["a"] * 3
    assert found["1"].prompt[2].text == '{"y": 2}' and found["3"].tools[0]["function"]["parameters"] == {}
    assert found["q1\nq2"].target == "a" and found["4"].target.endswith("a")


# --- tables somebody typed, pasted or uploaded


def test_pasted_rows_are_told_by_their_looks() -> None:
    assert read_pasted('{"question": "q"}\n\n').suffix == ".jsonl"
    assert json.loads(read_pasted("a -> b -> c").text) == {"question": "a -> b", "answer": "c"}
    assert [read_pasted(text).suffix for text in ("q\ta\n1\t2", "q,a\n1,2")] == [".tsv", ".csv"]
    assert read_pasted("\ufeffNachricht;Art\r\nDer Lift steht, seit gestern;dringend").found.startswith(
        "a table with semi"
    )
    for text, said in (("", "no row"), ("one word", "neither"), ("a -> b\nc -> \nd -> e", "Line 2")):
        with pytest.raises(DataError, match=said) as caught:
            read_pasted(text)
        assert caught.value.remedy


def test_the_numbers_of_a_pasted_list_are_no_part_of_its_texts() -> None:
    def questions(text: str) -> list[str]:
        return [json.loads(line)["question"] for line in read_pasted(text).text.splitlines()]

    assert questions("1. Wo? -> a\n2) Wann? → b\n\n3. Wie? => a") == ["Wo?", "Wann?", "Wie?"]
    assert questions("3. Stock ohne Strom -> a\n2. Mahnung erhalten -> b") == [
        "3. Stock ohne Strom",
        "2. Mahnung erhalten",
    ]


def test_several_columns_are_one_answer_and_a_row_that_lacks_one_is_set_aside(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("question,city,zip\nq1,Bonn,5\nq2,,6\nq3,Kiel,7\n")
    roles = {"question": "question", "answer": JSON_ANSWER}
    options = Options(modality="text", mapping=roles, answer_columns=("city", "zip"), shares={"train": 1.0})
    report = import_data(tmp_path / "rows.csv", "mine", workspace, options)
    rows = list(DatasetDir(workspace.datasets / "mine").examples("train"))
    assert sorted(row.answer for row in rows) == ['{"city": "Bonn", "zip": "5"}', '{"city": "Kiel", "zip": "7"}'], (
        JSON_ANSWER
    )
    assert [reason for _, reason in report.rejected] == ["no city"]
    for columns, said in ((("city", "zap"), "no column 'zap'"), (("city",), "two named columns")):
        with pytest.raises(DataError, match=said):
            import_data(tmp_path / "rows.csv", "other", workspace, options._replace(answer_columns=columns))


def rows_file(folder: Path, labels: list[str]) -> Path:
    file = folder / "rows.csv"
    file.write_text("text,label\n" + "".join(f"message number {n} of many,{label}\n" for n, label in enumerate(labels)))
    return file


def test_a_preview_says_what_would_be_made_and_what_speaks_against_it(tmp_path: Path) -> None:
    file = rows_file(tmp_path, ["spam", "ham"] * 60)
    roles = guess_roles(columns_of(file), {})
    assert roles == {"question": "text", "answer": "label"} and guess_roles([], {"messages": "m"}) == {"messages": "m"}
    made = preview(file, Options(modality="text", mapping=roles, shares=shares_for(120)))
    assert made.report.kept == 120 and set(made.classes) == {"spam", "ham"} and not made.refusals
    assert made.task.kind == "classification" and shares_for(10_000)["test"] == 0.1 and half_width_points(100) < 8
    few = preview(rows_file(tmp_path, [*["spam", "ham"] * 10, "rare"]), Options(modality="text", mapping=roles))
    assert any("test rows are few" in warning for warning in few.warnings)
    assert any("rare" in sentence for sentence in (*few.warnings, *few.refusals))
    untested = preview(file, Options(modality="text", mapping=roles, shares={"train": 1.0}))
    assert untested.warnings == ("There would be no test row, so nothing can be proved until there are real rows.",)
    rows = "".join(f'{{"question": "message {n}", "answer": "a{n}", "split": "test"}}\n' for n in range(40))
    (tmp_path / "test.jsonl").write_text(rows)
    unlearned = preview(tmp_path / "test.jsonl", Options(modality="text"))
    assert "no training row" in unlearned.warnings[0]


def test_pictures_and_recordings_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    Image.new("P", (4, 4)).save(out, "GIF")
    assert as_png(out.getvalue()).startswith(b"\x89PNG")
    for read, code in ((as_png, "picture.broken"), (as_flac, "audio.unreadable")):
        with pytest.raises(DataError) as caught:
            read(b"none")
        assert caught.value.remedy, code
    (tmp_path / "large.png").write_bytes(b"x" * 100_000)
    monkeypatch.setattr("synth.importing.images.MAX_FILE_BYTES", 50_000)
    for name, code in (("large.png", "too_large"), ("none.png", "missing"), (".", "broken")):
        with pytest.raises(DataError) as caught:
            read_image(tmp_path / name)
        assert caught.value.code == f"picture.{code}"
    with pytest.raises(DataError, match="MB"):
        decode_image(b"x" * 100_000, "it")


# --- what endpoints answer


BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}, "finish_reason": "stop"}]}, "a", "stop"),
    ({"choices": [{"message": {"content": None, "refusal": "no"}}]}, "no", "refusal"),
    ({"choices": [{"message": {"content": None}, "finish_reason": "length"}]}, "", "length"),
    ({"output": [{"type": "reasoning"}, {"content": [{"type": "output_text", "text": "a"}]}]}, "a", "stop"),
    ({"output": [{"content": [{"type": "refusal", "refusal": "no"}]}]}, "no", "refusal"),
    ({"output": [], "incomplete_details": {"reason": "max_output_tokens"}}, "", "length"),
    ({"type": "message", "content": [{"type": "text", "text": "a"}, 7], "stop_reason": "end_turn"}, "a", "stop"),
    ({"candidates": [{"content": {"parts": [{"text": "t", "thought": True}, {"text": "a"}]}, "finishReason": "STOP"}]},
     "a", "stop"),
    ({"promptFeedback": {"blockReason": "SAFETY"}}, "", "content_filter"),
    ({"candidates": [{"content": 7, "finishReason": "SAFETY"}]}, "", "content_filter"),
    ({"text": "heard", "usage": {"seconds": 2.5}}, "heard", ""),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_replies_of_every_known_route_are_read(number: int) -> None:
    body, text, finish = BODIES[number]
    reply = reply_of(body)
    assert (reply.text, reply.finish_reason) == (text, finish)


@pytest.mark.parametrize("body", [
    {}, {"choices": []}, {"choices": [7]}, {"choices": [{"message": 7}]}, {"choices": [{"message": {"content": None}}]},
    {"output": []}, {"type": "message", "content": 7}, {"candidates": []}, {"text": 7},
])  # fmt: skip
def test_a_body_without_an_answer_is_never_an_empty_answer(body: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        reply_of(body)


def test_streams_are_read_line_by_line_and_broken_ones_are_said_to_be() -> None:
    assert list(lines([b"data: 1\r\nda", b"ta: 2\n", b"x"])) == ["data: 1", "data: 2", "x"]
    said = 'data: {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}'
    piece = streamed_piece(said)
    assert isinstance(piece, Piece) and piece.text == "a" and piece.usage is not None and piece.usage.input_tokens == 3
    nothing = (": kept alive", "data: [DONE]", 'data: {"choices": []}', 'data: {"choices": [{"delta": 7}]}')
    assert [streamed_piece(line) for line in nothing] == [None] * 4
    for line, reason in (('data: {"error": {"code": 1}}', "broke"), ("data: {", "JSON"), ("data: 7", "object")):
        with pytest.raises(Unreadable, match=reason):
            streamed_piece(line)
    with pytest.raises(Unreadable, match="HTML"):
        read_body(b"<html>busy</html>")


def test_pictures_and_recordings_are_sent_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for name in ("a.png", "b.flac"):
        (tmp_path / "media" / name).write_bytes(b"data")
    parts = (
        TextPart(text="q"),
        ImagePart(path="media/a.png", sha256="0" * 64),
        AudioPart(path="media/b.flac", sha256="0" * 64),
    )
    ask = Ask(messages=(Message(role="user", content=parts),), max_tokens=5, media_root=tmp_path, temperature=None)
    coded = base64.b64encode(b"data").decode()
    sent = chat_payload("m", ask, "max_completion_tokens")
    assert "temperature" not in sent and sent["max_completion_tokens"] == 5
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{coded}"}},
        {"type": "input_audio", "input_audio": {"data": coded, "format": "flac"}},
    ]  # fmt: skip
    assert transcription_file(ask) == ("b.flac", b"data")
    with pytest.raises(DataError, match="without a recording"):
        transcription_file(Ask(messages=(user("q"),), max_tokens=5))


USAGES: list[tuple[dict[str, Any], tuple[int | None, int | None, int]]] = [
    ({"prompt_tokens": 9, "completion_tokens": 0}, (9, None, 0)),  # it answered, so 0 is no count
    ({"prompt_tokens": 0, "completion_tokens": 0}, (None, None, 0)),
    ({"prompt_tokens": True, "completion_tokens": "7"}, (None, None, 0)),
    ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5, "completion_tokens": 1}, (9, 1, 4)),
    ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 20}}, (25, 1, 20)),
    ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 27, "prompt_tokens_details": {"cached_tokens": 20}},
     (25, 2, 20)),
    ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 20}},
     (25, 4, 20)),
    ({"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": 2},
      "output_tokens": 1}, (10, 1, 3)),
    ({"promptTokenCount": 5, "toolUsePromptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
     (6, 5, 0)),
    ({"promptTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 10}, (5, 5, 0)),
    ({"promptTokenCount": 5, "thoughtsTokenCount": 3, "promptTokensDetails": [7, {"modality": "AUDIO"}]}, (5, 3, 0)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(USAGES)))
def test_usage_is_what_was_consumed_however_it_is_reported(number: int) -> None:
    reported, wanted = USAGES[number]
    found = read_usage(reported)
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == wanted


# --- keys


class Ring(KeyringBackend):
    """A keyring in memory, which may be locked."""

    priority = 1  # type: ignore[assignment]
    name = "a ring"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}
        self.locked = False

    def _open(self) -> dict[str, str]:
        if self.locked:
            raise RuntimeError("sk-secret")
        return self.kept

    def get_password(self, service: str, username: str) -> str | None:
        return self._open().get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._open()[username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self._open()[username]


def test_keys_are_found_in_the_environment_and_then_in_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    monkeypatch.delenv("A_KEY", raising=False)
    assert (keys.find_key("A_KEY"), keys.key_source("A_KEY"), keys.keyring_name()) == ("", None, "a ring")
    keys.store_key("A_KEY", "stored")
    assert (keys.find_key("A_KEY"), keys.key_source("A_KEY")) == ("stored", "keyring")
    keys.remember_key("A_KEY", "remembered")
    assert (keys.find_key("A_KEY"), keys.key_source("A_KEY")) == ("remembered", "memory")
    keys.forget_key("A_KEY")
    monkeypatch.setenv("A_KEY", "set")
    assert (keys.find_key("A_KEY"), keys.key_source("A_KEY")) == ("set", "environment")
    monkeypatch.delenv("A_KEY")
    keys.forget_key("A_KEY")
    assert keys.find_key("A_KEY") == ""


def test_a_keyring_that_refuses_never_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    ring.locked = True
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    assert keys.find_key("A_KEY") == ""
    for refused in (lambda: keys.store_key("A_KEY", "sk-secret"), lambda: keys.forget_key("A_KEY")):
        with pytest.raises(EndpointError) as caught:
            refused()
        assert "sk-secret" not in str(caught.value) and caught.value.remedy and caught.value.__cause__ is None
    monkeypatch.setattr(Ring, "priority", 0)
    assert keys.keyring_name() is None
    for refused in (lambda: keys.store_key("A_KEY", "sk-secret"), lambda: keys.forget_key("A_KEY")):
        with pytest.raises(EndpointError) as caught:
            refused()
        assert caught.value.code == "endpoint.keyring"

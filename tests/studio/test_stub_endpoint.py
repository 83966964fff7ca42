"""The stub endpoint over real HTTP: what it answers, counts, logs, and how it fails on purpose."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import soundfile
from pydantic import ValidationError

from studio.stub.endpoint import Stub, StubSettings, run, serve_in_thread
from synth.errors import DataError, EndpointError

pytestmark = pytest.mark.slow

PNG = b"\x89PNG not really a picture"


def ask(stub: Stub, text: str = "What is 2 + 2?", **fields: Any) -> httpx.Response:
    body = {"model": "stub-model", "messages": [{"role": "user", "content": text}], **fields}
    return httpx.post(f"{stub.base_url}/chat/completions", json=body, timeout=10)


def content(reply: httpx.Response) -> str:
    return str(reply.json()["choices"][0]["message"]["content"])


def answers_file(path: Path, rows: int = 200) -> Path:
    lines = [json.dumps({"prompt": f"Question {i}?", "answer": f"Answer: {i}"}) for i in range(rows)]
    path.write_text("\n".join(lines))
    return path


def test_openai_client_gets_a_deterministic_answer_that_says_it_is_a_stub() -> None:
    with serve_in_thread() as stub:
        client = openai.OpenAI(base_url=stub.base_url, api_key="sk-secret", max_retries=0)
        replies = [
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "How many?"}])
            for _ in range(2)
        ]
    texts = [reply.choices[0].message.content or "" for reply in replies]
    assert texts[0] == texts[1]
    assert "stub endpoint" in texts[0]
    assert replies[0].system_fingerprint == "smolstudio-stub"
    assert replies[0].usage is not None
    assert replies[0].usage.prompt_tokens > 0


def test_streamed_answer_equals_the_plain_one_and_ends_with_usage() -> None:
    with serve_in_thread() as stub:
        client = openai.OpenAI(base_url=stub.base_url, api_key="k", max_retries=0)
        messages: list[Any] = [{"role": "user", "content": "Tell me something"}]
        plain = client.chat.completions.create(model="m", messages=messages)
        chunks = list(
            client.chat.completions.create(
                model="m", messages=messages, stream=True, stream_options={"include_usage": True}
            )
        )
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage


def test_pictures_and_recordings_are_counted_and_billed() -> None:
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    sound = {"data": base64.b64encode(b"RIFF" * 8000).decode(), "format": "wav"}
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "input_audio", "input_audio": sound},
    ]
    with serve_in_thread() as stub:
        reply = httpx.post(f"{stub.base_url}/chat/completions", json={"messages": [{"role": "user", "content": parts}]})
        bare = ask(stub, "What is this?")
    assert (stub.requests[0]["images"], stub.requests[0]["audio_bytes"]) == (1, 32_000)
    assert reply.json()["usage"]["prompt_tokens"] == bare.json()["usage"]["prompt_tokens"] + 85 + 10


def test_known_prompts_get_their_answer_in_the_share_asked_for(tmp_path: Path) -> None:
    settings = StubSettings(answers=answers_file(tmp_path / "answers.jsonl"), accuracy=0.7)
    with serve_in_thread(settings) as stub, httpx.Client() as client:
        texts = []
        for i in range(200):
            body = {"messages": [{"role": "user", "content": f"Think step by step.\nQuestion  {i}?"}]}
            texts.append(content(client.post(f"{stub.base_url}/chat/completions", json=body)))
    right = sum(text == f"Answer: {i}" for i, text in enumerate(texts))
    assert 120 <= right <= 160
    assert all(text.startswith("Answer: ") for text in texts), "wrong answers must still be parseable"


def test_dataset_rows_serve_as_answers_and_media_tell_them_apart(tmp_path: Path) -> None:
    rows = []
    for data, target in ((PNG, "Answer: cat"), (b"other", "Answer: dog")):
        part = {"type": "image", "path": "media/a.png", "sha256": hashlib.sha256(data).hexdigest()}
        rows.append(
            {"prompt": [{"role": "user", "content": [{"type": "text", "text": "Which?"}, part]}], "target": target}
        )
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    parts = [{"type": "text", "text": "Which?"}, {"type": "image_url", "image_url": {"url": url}}]
    with serve_in_thread(StubSettings(answers=tmp_path / "test.jsonl")) as stub:
        reply = httpx.post(f"{stub.base_url}/chat/completions", json={"messages": [{"role": "user", "content": parts}]})
    assert content(reply) == "Answer: cat"


def test_json_schema_is_filled() -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["bug", "wish"]}, "hours": {"type": "integer"}, "tags": {"type": "array"}},
    }
    with serve_in_thread() as stub:
        reply = ask(stub, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    value = json.loads(content(reply))
    assert value["kind"] in ("bug", "wish")
    assert isinstance(value["hours"], int)


def test_a_repeated_prefix_is_billed_as_cached() -> None:
    system = {"role": "system", "content": "Follow these rules. " * 100}
    with serve_in_thread() as stub:
        usages = [
            httpx.post(
                f"{stub.base_url}/chat/completions", json={"messages": [system, {"role": "user", "content": text}]}
            ).json()["usage"]
            for text in ("first", "second")
        ]
    assert usages[0]["prompt_tokens_details"]["cached_tokens"] == 0
    assert usages[1]["prompt_tokens_details"]["cached_tokens"] == 384


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("500", 500), ("401", 401), ("529", 529)])
def test_status_faults_are_refusals_nobody_pays_for(fault: str, status: int) -> None:
    with serve_in_thread(StubSettings(script=(fault,), retry_after_sec=7)) as stub:
        reply, again = ask(stub), ask(stub)
    assert reply.status_code == status
    assert reply.headers.get("retry-after") == ("7" if fault in ("429", "529") else None)
    assert again.status_code == 200
    assert [row["paid"] for row in stub.requests] == [False, True]


def test_retry_after_can_be_a_date() -> None:
    with serve_in_thread(StubSettings(script=("429-date",))) as stub:
        reply = ask(stub)
    assert reply.headers["retry-after"].endswith("GMT")


def test_body_faults_are_what_they_say_and_are_paid() -> None:
    script = ("html", "cut", "no-choices", "null-usage", "refusal", "empty")
    with serve_in_thread(StubSettings(script=script)) as stub:
        html, cut, no_choices, null_usage, refusal, empty = (ask(stub) for _ in script)
    assert html.status_code == 200
    assert html.text.startswith("<html>")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        cut.json()
    assert no_choices.json()["choices"] == []
    assert null_usage.json()["usage"] is None
    assert refusal.json()["choices"][0]["message"]["refusal"]
    assert content(empty) == ""
    assert stub.paid == 5


def test_a_repeated_idempotency_key_gets_the_same_answer_and_no_second_bill() -> None:
    def keyed(stub: Stub, text: str) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text}]}
        return httpx.post(f"{stub.base_url}/chat/completions", json=body, headers={"Idempotency-Key": "k"})

    with serve_in_thread(StubSettings(script=("429", "reset", "ok"))) as stub:
        assert keyed(stub, "x").status_code == 429
        with pytest.raises(httpx.RemoteProtocolError):
            keyed(stub, "x")
        again, other, keyless = keyed(stub, "x"), keyed(stub, "y"), ask(stub, "x")
    assert content(again) == content(keyless)
    assert [r.headers.get("idempotent-replayed") for r in (again, keyless)] == ["true", None]
    assert other.status_code == 422, "one key cannot name two payloads"
    assert [row["paid"] for row in stub.requests] == [False, True, False, False, True]


def test_reset_breaks_the_connection_in_the_body() -> None:
    with serve_in_thread(StubSettings(script=("reset", "reset"))) as stub:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(stub)
        assert "[DONE]" not in ask(stub, stream=True).text


def test_drip_outlasts_a_read_timeout_that_never_fires() -> None:
    with serve_in_thread(StubSettings(script=("drip",), drip_sec=0.5)) as stub:
        started = time.monotonic()
        reply = httpx.post(
            f"{stub.base_url}/chat/completions", json={"messages": [{"role": "user", "content": "x"}]}, timeout=0.3
        )
    assert time.monotonic() - started >= 0.5
    assert reply.json()["choices"]


def test_share_of_faults_is_met_and_a_retry_draws_anew() -> None:
    with serve_in_thread(StubSettings(faults={"500": 0.3, "429": 0.2})) as stub:
        first = [ask(stub, f"q{i}").status_code for i in range(100)]
        retry = [ask(stub, f"q{i}").status_code for i in range(100) if first[i] != 200]
    assert 35 <= sum(code != 200 for code in first) <= 65
    assert 200 in retry


def test_key_is_checked_but_never_logged(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with serve_in_thread(StubSettings(api_key="sk-right", log=log)) as stub:
        assert ask(stub).status_code == 401
        headers = {"Authorization": "Bearer sk-right"}
        body = {"messages": [{"role": "user", "content": "x"}]}
        assert httpx.post(f"{stub.base_url}/chat/completions", json=body, headers=headers).status_code == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(row["key_sent"], row["paid"]) for row in lines] == [(False, False), (True, True)]
    assert "sk-right" not in log.read_text() + repr(stub.settings)


def test_audio_endpoints_speak_a_tone_and_transcribe_known_bytes(tmp_path: Path) -> None:
    book = tmp_path / "answers.jsonl"
    book.write_text(json.dumps({"prompt": "", "media": [hashlib.sha256(b"sound").hexdigest()], "answer": "lights on"}))
    with serve_in_thread(StubSettings(answers=book)) as stub:
        client = openai.OpenAI(base_url=stub.base_url, api_key="k", max_retries=0)
        speech = client.audio.speech.create(model="m", voice="v", input="a" * 30, response_format="wav")
        transcripts = client.audio.transcriptions.create(model="m", file=("a.wav", b"sound"))
        unknown = client.audio.transcriptions.create(model="m", file=("a.wav", b"noise"))
    wave, rate = soundfile.read(io.BytesIO(speech.content))
    assert (len(wave), rate) == (32_000, 16_000)
    assert transcripts.text == "lights on"
    assert "stub" in unknown.text


def test_requests_beyond_the_limit_at_once_get_429() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with serve_in_thread(StubSettings(max_concurrent=2, latency_sec=0.3)) as stub, ThreadPoolExecutor(6) as pool:
        codes = sorted(pool.map(lambda i: ask(stub, str(i)).status_code, range(6)))
    assert codes[:2] == [200, 200]
    assert 429 in codes


def test_malformed_requests_get_a_sentence() -> None:
    with serve_in_thread() as stub:
        reply = httpx.post(f"{stub.base_url}/chat/completions", json={"messages": ["hello"]})
        bad_image = ask(stub, "x", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])
        models = httpx.get(f"{stub.base_url}/models").json()
        health = httpx.get(stub.base_url.removesuffix("/v1") + "/health").json()
    assert reply.status_code == bad_image.status_code == 400
    assert "role" in reply.json()["error"]["message"]
    assert models["data"][0]["id"] == "stub-model"
    assert health["stub"] is True


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="unknown faults"):
        StubSettings(faults={"4290": 1})
    with pytest.raises(ValidationError, match="at most 1"):
        StubSettings(faults={"429": 0.6, "500": 0.6})
    with pytest.raises(DataError, match="no file of answers"):
        Stub(StubSettings(answers=tmp_path / "absent.jsonl"))
    (tmp_path / "torn.jsonl").write_text('{"prompt": "a"')
    with pytest.raises(DataError, match="line 1"):
        Stub(StubSettings(answers=tmp_path / "torn.jsonl"))
    with serve_in_thread() as stub:
        port = int(stub.base_url.split(":")[2].split("/")[0])
        with pytest.raises(EndpointError, match="Cannot listen"):
            run(port=port)

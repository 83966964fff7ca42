"""The text starters: right rows, a tokenizer that fits TRL, exact resume, growth that changes nothing."""

import hashlib
import itertools
import json
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest

from recipes.starters.making.text import check_rows
from recipes.starters.making.text_answers import answers, is_right
from recipes.starters.making.text_average import average
from recipes.starters.making.text_growth import grow
from recipes.starters.making.text_model import Shape, export, new_model
from recipes.starters.making.text_tokenizer import END, chat_text, starter_tokenizer
from recipes.starters.making.text_training import Plan, Trainer, lr_scale, pack
from recipes.starters.text_data import FAMILIES, GENERATOR_VERSION, WrongRow, checked, examples, rows
from recipes.starters.text_data.broad import BROAD, UNION
from recipes.starters.text_data.row import Row, calculation
from studio.presets.demos import DEMOS

pytestmark = pytest.mark.slow

WEIGHTS = Path(__file__).parents[2] / "recipes" / "starters" / "weights"
TINY = Shape(width=64, layers=2, heads=1, kv_heads=1, inner=64)


@pytest.fixture(scope="module")
def tokenizer():
    return starter_tokenizer()


def value_of(expression: str) -> Fraction:
    """Left to right with precedence, written apart from the code under test."""
    total = Fraction(0)
    for sign, term in re.findall(r"(^|[+-]) *([^+-]+)", expression):
        product = None
        for operator, number in re.findall(r"([*/]?) *([\d.]+)", term):
            if product is None:
                product = Fraction(number)
            elif operator == "*":
                product *= Fraction(number)
            else:
                product /= Fraction(number)
        assert product is not None
        total += -product if sign == "-" else product
    return total


@pytest.mark.parametrize("family", [*FAMILIES, *BROAD])
def test_every_worked_line_holds_and_ends_in_the_answer(family: str):
    rng = random.Random(f"test/{family}")
    generators = (FAMILIES | BROAD)[family]
    for number in range(200):
        row = generators[number % len(generators)][0](rng)
        lines = row.target.split("\n")
        results = []
        for line in lines:
            if re.fullmatch(r"[\d.+*/ -]+( = [\d.+*/ -]+)+", line):
                sides = line.split(" = ")
                assert len({value_of(side) for side in sides}) == 1, line
                results.append(sides[-1])
        if row.scorer == "math":
            assert lines[-1] == f"Answer: {row.answer}"
            assert Fraction(row.answer) >= 0
            if results and family not in ("division", "extreme"):
                assert row.answer == results[-1], row
        assert row.prompt[-1][0] == "user"
        assert not set("[]{}") & set(row.prompt[-1][1]) or family in ("json", "key_values"), row.prompt
        assert row.template.startswith(f"{row.family}/")


def test_clock_and_date_answers_agree_with_datetime():
    import datetime

    rng = random.Random(4)
    for _ in range(300):
        row = FAMILIES["days_between"][0][0](rng)
        found = re.findall(r"\d{4}-\d\d-\d\d", row.prompt[-1][1])
        if len(found) == 2:
            first, second = map(datetime.date.fromisoformat, found)
            assert (second - first).days == int(row.answer)
        row = FAMILIES["times"][0][0](rng)
        assert re.fullmatch(r"\d+|[012]\d:[0-5]\d", row.answer)


def test_extracted_fields_stand_in_the_text():
    rng = random.Random(6)
    for _ in range(300):
        row = FAMILIES["json"][0][0](rng)
        for value in json.loads(row.answer).values():
            assert str(value) in row.prompt[-1][1]


def test_a_false_line_is_refused():
    with pytest.raises(WrongRow):
        checked(calculation("q", ["2 + 2 = 5"], "5", "addition", "0"))
    with pytest.raises(WrongRow):
        checked(Row((("user", "q"),), "2 + 2 = 4\nAnswer: 4", "5", "math", "addition", "0"))


def test_same_seed_gives_same_examples_and_another_seed_others():
    first = [example.model_dump() for example in examples(3, 60)]
    assert first == [example.model_dump() for example in examples(3, 60)]
    others = {example.id for example in examples(4, 60)}
    assert len({row["id"] for row in first} & others) < 5
    assert len({row["id"] for row in first}) == 60
    assert first[0]["source"]["generator_version"] == GENERATOR_VERSION


def test_examples_can_be_limited_to_families():
    assert {example.family for example in examples(0, 40, ["units", "echo"])} == {"units", "echo"}
    with pytest.raises(KeyError):
        next(examples(0, 1, ["no such family"]))


def test_stream_has_few_shot_and_system_prompts_in_the_stated_shares():
    drawn = list(itertools.islice(rows(random.Random(1)), 3000))
    with_system = sum(row.prompt[0][0] == "system" for row in drawn) / len(drawn)
    turns = sum(len([role for role, _ in row.prompt if role == "user"]) > 1 for row in drawn) / len(drawn)
    assert 0.16 < with_system < 0.24
    assert 0.04 < turns < 0.11


def test_broad_wordings_are_not_those_of_the_math_generator():
    from synth.build import preview_rows

    def words(text: str) -> list[str]:
        return re.sub(r"[\d.:$]+", "0", text.lower()).split()

    def phrases(texts: list[str]) -> set[str]:
        return {" ".join(words(text)[at : at + 10]) for text in texts for at in range(len(words(text)) - 9)}

    drawn = preview_rows("math", {"train": 300, "val": 0, "test": 0, "test_ood": 150, "seed": 1}, 450)
    theirs = [example.prompt[-1].text for example in drawn]
    ours = [row.prompt[-1][1] for row in itertools.islice(rows(random.Random(2), BROAD), 4000)]
    assert len(theirs) == 450
    assert not {" ".join(words(text)) for text in theirs} & {" ".join(words(text)) for text in ours}
    assert len(phrases(theirs) & phrases(ours)) < 0.01 * len(phrases(theirs))


def test_union_holds_both_sets():
    assert set(UNION) == set(FAMILIES) | set(BROAD)
    assert not set(FAMILIES) & set(BROAD)


def test_digits_are_single_tokens_and_text_survives(tokenizer):
    ids = tokenizer("12.50 * 307 = 3837.50", add_special_tokens=False)["input_ids"]
    digits = [tokenizer.decode([token]) for token in ids if any(map(str.isdigit, tokenizer.decode([token])))]
    assert digits == list("12503073837" + "50")
    for row in itertools.islice(rows(random.Random(8), UNION), 300):
        text = row.prompt[-1][1] + row.target
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_generation_prompt_is_a_prefix_of_the_whole_conversation(tokenizer):
    for row in itertools.islice(rows(random.Random(9), UNION), 200):
        messages = [{"role": role, "content": text} for role, text in row.prompt]
        whole = [*messages, {"role": "assistant", "content": row.target}]
        head = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        ids = tokenizer.apply_chat_template(whole, return_dict=False)
        assert ids[: len(head)] == head
        assert head == tokenizer(chat_text(row.prompt), add_special_tokens=False)["input_ids"]


def test_template_marks_the_reply_for_assistant_only_loss(tokenizer):
    messages = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "Answer: 2"}]
    out = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    marked = [token for token, mask in zip(out["input_ids"], out["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(marked) == f"Answer: 2{END}"


def test_packed_documents_do_not_see_each_other(tokenizer):
    import torch

    model = new_model(TINY, tokenizer, 0).eval()
    stream = rows(random.Random(3))
    batch = pack(tokenizer, stream, 1, 384)
    first = int((batch.documents[0] == 1).sum())
    assert batch.documents.max() > 1
    same = batch.documents[:, :, None] == batch.documents[:, None, :]
    mask = (same & torch.ones(384, 384, dtype=torch.bool).tril())[:, None]
    second = slice(first, first + int((batch.documents[0] == 2).sum()))
    with torch.inference_mode():
        packed = model(input_ids=batch.ids, position_ids=batch.positions, attention_mask=mask).logits[0, second]
        alone = model(input_ids=batch.ids[:, second]).logits[0]
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)
    assert float(batch.weights[batch.documents == 0].sum()) == 0


def test_killed_training_resumes_with_identical_losses(tokenizer, tmp_path: Path):
    import torch

    torch.set_num_threads(1)
    plain = Plan(steps=6, batch=2, length=128, warmup=2, log_every=1, compile=False)
    whole = Trainer(new_model(TINY, tokenizer, 0), tokenizer, rows, plain, tmp_path / "whole")
    stopped = Trainer(new_model(TINY, tokenizer, 0), tokenizer, rows, plain, tmp_path / "cut")

    class Killed(Exception):
        pass

    def kill(trainer: Trainer) -> None:
        if trainer.step == 3:
            raise Killed

    whole.run(lambda _: None)
    stopped.plan = plain._replace(save_sec=0)
    with pytest.raises(Killed):
        stopped.run(kill)
    again = Trainer(new_model(TINY, tokenizer, 5), tokenizer, rows, plain, tmp_path / "cut")
    assert again.resume()
    again.run(lambda _: None)

    def losses(folder: str) -> list[float]:
        lines = (tmp_path / folder / "log.jsonl").read_text().splitlines()
        return [row["loss"] for row in map(json.loads, lines) if "loss" in row]

    assert losses("cut") == losses("whole")
    assert len(losses("whole")) == 6


def test_a_time_limit_ends_training_and_a_longer_one_goes_on(tokenizer, tmp_path: Path):
    def trained(minutes: float) -> Trainer:
        plan = Plan(minutes=minutes, batch=2, length=128, compile=False)
        trainer = Trainer(new_model(TINY, tokenizer, 0), tokenizer, rows, plan, tmp_path)
        trainer.resume()
        trainer.run(lambda _: None)
        return trainer

    short = trained(0.01)
    longer = trained(short.seconds / 60 + 0.01)
    assert 0.6 <= short.seconds < longer.seconds
    assert short.total == short.step < longer.step == longer.total


def test_learning_rate_warms_up_stays_and_falls():
    assert lr_scale(0, 10, 100) == pytest.approx(0.1)
    assert lr_scale(39, 10, 100) == 1
    assert lr_scale(70, 10, 100) == pytest.approx(0.5)
    assert lr_scale(99, 10, 100) < 0.05
    assert lr_scale(5000, 10, None) == 1


def test_growth_preserves_the_function_and_parts_the_copies(tokenizer):
    import torch

    small = new_model(TINY, tokenizer, 1).eval()
    wide = grow(small, TINY, tokenizer, layers=3).eval()
    ids = torch.randint(5, 1500, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(wide(input_ids=ids).logits, small(input_ids=ids).logits, atol=2e-5, rtol=1e-4)
    weight = wide.model.layers[0].mlp.gate_proj.weight
    assert not torch.allclose(weight[:64, :64], weight[64:, :64])
    assert sum(p.numel() for p in wide.parameters()) > 2 * sum(p.numel() for p in small.parameters())


def test_mean_of_two_trainings_is_between_them(tokenizer, tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM

    models = [new_model(TINY, tokenizer, seed) for seed in (1, 2)]
    for number, model in enumerate(models):
        trainer = Trainer(model, tokenizer, rows, Plan(steps=1, compile=False), tmp_path / str(number))
        trainer.save()
        export(model, tokenizer, trainer.out / "model")
    average([tmp_path / "0", tmp_path / "1"], tmp_path / "mean")
    mean = AutoModelForCausalLM.from_pretrained(tmp_path / "mean" / "model", dtype=torch.float32)
    expected = (models[0].model.norm.weight + models[1].model.norm.weight) / 2
    torch.testing.assert_close(mean.model.norm.weight, expected, atol=0.01, rtol=0.01)
    first, second = (model.model.layers[0].mlp.up_proj.weight for model in models)
    torch.testing.assert_close(mean.model.layers[0].mlp.up_proj.weight, (first + second) / 2, atol=0.01, rtol=0.01)


def test_export_loads_and_says_the_same(tokenizer, tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = new_model(TINY, tokenizer, 2).eval()
    export(model, tokenizer, tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").get_vocab() == tokenizer.get_vocab()
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=0.05, rtol=0.05)


SHIPPED = sorted(folder.name for folder in WEIGHTS.iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_match_their_hashes(name: str):
    folder = WEIGHTS / name
    listed = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    for file, digest in listed.items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest, file
        assert (folder / file).stat().st_size <= 16 * 2**20
    assert {"README.md", "config.json", "tokenizer.json"} <= set(listed)
    assert "_name_or_path" not in (folder / "config.json").read_text()  # it would tell a path of whoever trained it


@pytest.mark.parametrize("modality", ["audio", "text", "vision"])
def test_a_demo_compares_the_tuned_starter_with_its_base_and_a_larger_one_that_ships(modality: str):
    demo = DEMOS[modality]
    sizes = [sum(f.stat().st_size for f in (WEIGHTS / name).glob("*.safetensors")) for name in (demo.base, demo.large)]
    assert sizes[1] > 3.5 * sizes[0]
    plan = demo.plan("demo", "data", [0], [("sft", "dpo")], demo.large)
    asked = {system["id"]: system["model"] for system in plan["systems"]}
    assert asked[plan["large"]] == demo.large and asked[plan["small"]] == demo.base == asked["base-zero"]


@pytest.mark.parametrize("name", ["starter-text", "starter-text-large"])
def test_shipped_text_starters_load_with_their_tokenizer(name: str, tokenizer):
    from transformers import AutoConfig, AutoTokenizer

    folder = WEIGHTS / name
    assert AutoConfig.from_pretrained(folder).vocab_size == len(tokenizer)
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()


def test_shipped_starter_answers_seven_of_eight_unseen_rows():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = WEIGHTS / "starter-text"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    asked = check_rows(FAMILIES, 3, "test")[:105]
    right = sum(map(is_right, asked, answers(model, AutoTokenizer.from_pretrained(folder), asked)))
    assert right >= 7 / 8 * len(asked)

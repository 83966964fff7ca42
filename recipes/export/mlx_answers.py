"""mlx-lm in a process of its own: `python -P -m recipes.export.mlx_answers FOLDER MOST`.

Reads prompts as a JSON list of lists of token ids from standard input, and writes their greedy continuations of at most
MOST tokens as a JSON list of texts. It stops where mlx-lm stops for everybody.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Entry point."""
    from mlx_lm import generate, load

    folder, most = sys.argv[1], int(sys.argv[2])
    prompts = json.load(sys.stdin)
    model, tokenizer = load(folder)[:2]
    texts = [generate(model, tokenizer, prompt=prompt, max_tokens=most).strip() for prompt in prompts]
    json.dump(texts, sys.stdout)


if __name__ == "__main__":
    main()

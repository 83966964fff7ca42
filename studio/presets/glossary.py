"""The words of the field that pages and reports use, each in a sentence or two, as data."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "Accuracy": "The share of rows that were answered right.",
    "Adapter": "The small file that tuning makes. It changes how a base model answers; the base itself stays as it is.",
    "Base model": "The model before tuning.",
    "Baseline": "Something cheap to beat, such as always giving the commonest answer, or TF-IDF.",
    "BETTER": "More rows are right than with the other model, by more than chance explains.",
    "Confidence": "The mean probability of an answer's tokens as the model saw it, 0 to 1. It ranks rows for a second "
    "look. It is no probability of being right.",
    "Confidence interval": "The range that would hold the true figure in 95 of 100 such comparisons. With few rows it "
    "is wide.",
    "Confusion matrix": "A table of right labels against given labels: what is taken for what.",
    "Cross-validation": "Rows are shared out in folds, and each fold is tested by a model that learned the others, so "
    "that every row is tested.",
    "DPO": "Direct Preference Optimisation: a second training on pairs of a better and a worse answer.",
    "Early stopping": "Training ends when the validation loss no longer falls, and the best step is kept.",
    "Effective batch": "How many rows a model sees before each step that changes it.",
    "Endpoint": "A model behind an address that is asked over the network, often paid by the token.",
    "Epoch": "One pass over all training rows.",
    "F1": "One figure for a class out of precision and recall; it is low when either is.",
    "Family": "Rows of one kind, such as one sort of problem; of imported rows, those that were kept together.",
    "Few-shot": "A prompt that shows a few solved examples before the question.",
    "GGUF": "The file format of llama.cpp, Ollama and LM Studio.",
    "Leakage": "Rows that are both learned from and tested on, so that the test promises too much.",
    "Learning rate": "How far each step of a training moves the model; too far, and it learns nothing.",
    "LoRA": "Low-Rank Adaptation: tuning a few added numbers instead of the whole model. QLoRA does it on a base that "
    "is stored in four bits.",
    "Loss": "How surprised the model is by the right answers; training makes it smaller.",
    "Macro-F1": "The mean F1 over classes, each class alike, however rare it is.",
    "Margin": "The largest loss of accuracy that is still called not worse. It is fixed before anybody answers.",
    "McNemar": "A test that looks only at rows where exactly one of two models is right.",
    "Near-duplicate": "A row that says nearly the same as another one, such as one with another name in it.",
    "NOT WORSE": "The comparison rules out that the small model loses more than the margin.",
    "INCONCLUSIVE": "Too few rows to tell a difference from chance. It does not mean that the models are equal.",
    "WITHHELD": "Something makes the comparison unfair or unreadable, so no verdict is given; the report says what.",
    "Out of fold": "Answered, in a cross-validation, by the model that did not learn the row; of a choice, measured on "
    "rows that had no part in it.",
    "Pay-back": "After how many requests tuning has earned what it cost.",
    "Preflight": "Two real steps before a training: whether it fits into memory, how long it takes, what the model "
    "gets to see.",
    "Precision": "Of the rows that were given a label, the share that really have it.",
    "Prompting": "Asking a model as it is, with an instruction, instead of tuning it.",
    "Quantisation": "Storing a model in fewer bits, so that it needs less memory.",
    "Real rows": "Rows of your own work that no program made. They are tested on and never trained on.",
    "Recall": "Of the rows that have a label, the share that were given it; the others were missed.",
    "Schema": "The form that an answer must have, such as a JSON object with given keys.",
    "Self-BLEU": "How much texts repeat each other, 0 to 1.",
    "SFT": "Supervised fine-tuning: training on questions with right answers.",
    "Stratified": "Shared out so that each split has its part of every class.",
    "Task card": "What the model should do, in a sentence or two, with the possible answers and their form.",
    "Test rows": "Rows that are kept away from training, to see what was really learned.",
    "TF-IDF": "An old way of telling texts apart by their words, with no neural network. A tuned model should beat it.",
    "Threshold": "The confidence from which on a model answers by itself; rows below it go to somebody else.",
    "Token": "A word or a piece of one: what models read and write, and what endpoints are paid by.",
    "Unseen families": "Test rows of kinds that training never shows, to see whether the model can do more than it "
    "was shown.",
    "Validation rows": "Rows that training looks at to know when to stop, but does not learn from.",
    "WORSE": "Fewer rows are right than with the other model, by more than chance explains.",
    "WER": "Word error rate: wrong, missing and added words, per word that was said. Lower is better.",
    "Zero-shot": "A prompt with the instruction and the question, and no examples.",
}


def terms_in(text: str) -> list[str]:
    """The words of the glossary that a text uses, with hyphens or without, in the glossary's order."""
    import re

    def used(term: str) -> bool:
        spelt = "[ -]".join(map(re.escape, re.split("[ -]", term)))
        return re.search(rf"(?<!\w){spelt}(?!\w)", text, 0 if term.isupper() else re.IGNORECASE) is not None

    return [term for term in GLOSSARY if used(term)]

"""Names of the scorers, as rows and plans hold them; whoever writes a row takes them from here.

Names only, so that `synth.example` and the generators import nothing else. The scorers are in `synth.scoring.scorers`.
"""

MATH = "math"
EXACT = "exact"
LABEL = "label"
CHOICE = "choice"
JSON = "json"
FIELDS = "fields"
RELAXED = "relaxed"
ANLS = "anls"
VQA = "vqa"
WER = "wer"
CER = "cer"
FREE_TEXT = "free_text"

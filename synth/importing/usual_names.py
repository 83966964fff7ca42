"""What columns are usually called that hold a text, its answer, or neither, in seven European languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NO_CONTENT = re.compile(
    r"(?i)(.*[_ ])?(ids?|idx|index|hash|uuid|url|uri|path|file|date|time|timestamp|at|source|license|split|lang"
    r"|language|model|version|annotator|author|user|project|status|method|type|role|domain)|\w+Id|model_\w"
)
"""Names of columns that hold facts about a row, and nothing that is asked or answered."""
ASKS = (
    *("text", "sentence", "article", "document", "body", "content", "message", "question", "query", "request"),
    *("nachricht", "anfrage", "frage", "anliegen", "texto", "texte", "testo", "tekst", "mensaje", "mensagem"),
    *("messaggio", "bericht", "wiadomosc", "pregunta", "pergunta", "domanda", "vraag", "pytanie", "consulta"),
    *("demande", "richiesta", "zapytanie", "satz", "inhalt", "tresc", "inhoud", "contenu", "contenido", "conteudo"),
    *("contenuto", "title", "description", "comment", "review", "beschreibung", "kommentar", "titel", "betreff"),
    *("subject", "asunto", "assunto", "oggetto", "objet", "onderwerp", "temat"),
)
SAYS = (
    *("label", "sentiment", "category", "class", "intent", "summary", "highlights", "answer", "output", "response"),
    *("code", "translation", "best_answer", "correct", "gold", "canonical_solution", "reply", "rating", "priority"),
    *("urgency", "dringend", "urgence", "urgencia", "urgenza", "urgentie", "pilnosc"),
    *("kategorie", "klasse", "antwort", "abteilung", "zustandig", "zustaendig", "zustandigkeit", "dringlichkeit"),
    *("prioritat", "prioritaet", "bewertung", "categorie", "classe", "reponse", "etiquette", "priorite", "categoria"),
    *("clase", "respuesta", "etiqueta", "prioridad", "resposta", "prioridade", "risposta", "etichetta", "priorita"),
    *("antwoord", "klas", "prioriteit", "kategoria", "klasa", "odpowiedz", "etykieta", "priorytet", "department"),
)
TRANSCRIPTS = (
    *("transcript", "transcription", "text", "sentence", "transkript", "transkription", "abschrift", "diktat"),
    *("dictation", "wortlaut", "texto", "texte", "testo", "tekst", "transcripcion", "transcricao", "trascrizione"),
    *("transcriptie", "transkrypcja", "dictee", "dictado", "ditado", "dettatura", "dictaat"),
)
_FACTS = {
    *("id", "code", "count", "number", "nr", "date", "datum", "fecha", "data", "time", "to", "by", "from", "length"),
    "score",
}
"""Words of names that hold a fact about a text or an answer: `reply_to`, `Datum der Antwort`."""
_LONGEST = 40
"""Characters of a name beyond which its words are those of a text, as in a table without a header."""


def folded(name: str) -> str:
    """A name without case, accents and spaces around it; of a path (`payload.text`) the last name."""
    parts = unicodedata.normalize("NFKD", (name.rpartition(".")[2] or name).strip().casefold().replace("ł", "l"))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def no_content(name: str) -> bool:
    """Whether a column is called like a fact about its row."""
    return NO_CONTENT.fullmatch(folded(name)) is not None


def rank(name: str, usual: tuple[str, ...]) -> tuple[bool, int] | None:
    """How well a name is one of the usual ones, the least best: whole before a word of it, then by their order; None
    where it is none.
    """
    own = folded(name)
    if own in usual:
        return False, usual.index(own)
    words = re.findall(r"[^\W_]+", own)
    if no_content(own) or len(own) > _LONGEST or _FACTS & set(words):
        return None
    return min(((True, usual.index(word)) for word in words if word in usual), default=None)


def best(names: Iterable[str], usual: tuple[str, ...]) -> str:
    """The name that is best by `rank`, the first of equals; "" where none is usual."""
    return min(_ranked(names, usual), default=((True, 0), ""), key=lambda found: found[0])[1]


def called(names: Iterable[str], usual: tuple[str, ...]) -> list[str]:
    """Those that are usual names as a whole; where none is, those with a usual word."""
    ranked = _ranked(names, usual)
    whole = [name for (partly, _), name in ranked if not partly]
    return whole or [name for _, name in ranked]


def _ranked(names: Iterable[str], usual: tuple[str, ...]) -> list[tuple[tuple[bool, int], str]]:
    return [(place, name) for name in names if (place := rank(name, usual)) is not None]

"""Documents as seeds: every format gives its text, extracts know where they stand, faulty files end in a sentence."""

from __future__ import annotations

import io
import zipfile
from itertools import islice
from pathlib import Path

import pytest

from synth.documents.extracts import LeftOut, extracts, spans
from synth.documents.readers import READERS, read_document, tidy
from synth.documents.search import By, Index, search
from synth.documents.topics import in_turn, topics
from synth.errors import DataError
from synth.pipeline.candidate import Candidate, Rejected
from synth.pipeline.step import Env
from synth.pipeline.steps.sources import Documents, Search, documents
from synth.pipeline.steps.sources import search as search_step

TEXT = "The dam holds back the lake and was finished in the year 1936, say the books that tell of it."


def pdf(path: Path, pages: list[str]) -> None:
    """A PDF of plain text, written by hand."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        stream = f"BT /F1 9 Tf 20 700 Td ({text}) Tj ET".encode()
        font = "<< /Font << /F1 3 0 R >> >>"
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 900 800] /Contents {5 + 2 * number} 0 R /Resources {font} >>"
        )
        objects += [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]
    out, places = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    path.write_bytes(out.getvalue())


def docx(path: Path) -> None:
    import docx as library

    document = library.Document()
    document.add_paragraph(TEXT)
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "height", "221 m"
    document.save(str(path))


def one_of_each(folder: Path) -> list[Path]:
    body = f"<nav>Home About</nav><main><h1>Dams</h1>{f'<p>{TEXT}</p>' * 4}</main><script>x()</script>"
    html = f"<html><body>{body}</body></html>"
    for name, text in {
        "a.txt": TEXT,
        "b.md": f"# Dams\n\n{TEXT}",
        "c.html": html,
        "d.csv": f'title,text\nDam,"{TEXT}"\n',
        "e.jsonl": f'{{"text": "{TEXT}"}}\n',
        "f.htm": html,
        "g.tsv": f"text\tn\n{TEXT}\t1\n",
        "h.markdown": TEXT,
    }.items():
        (folder / name).write_text(text)
    pdf(folder / "i.pdf", ["A first page about nothing at all, really nothing.", TEXT])
    docx(folder / "j.docx")
    return sorted(folder.iterdir())


def test_every_format_gives_its_text_and_nothing_around_it(tmp_path: Path) -> None:
    files = one_of_each(tmp_path)
    assert {file.suffix for file in files} == set(READERS)
    for file in files:
        text = "\n".join(page.text for page in read_document(file))
        assert TEXT in " ".join(text.split()), file
        assert "Home About" not in text and "x()" not in text, file
    assert [page.number for page in read_document(tmp_path / "i.pdf")] == [1, 2]
    assert "height | 221 m" in next(read_document(tmp_path / "j.docx")).text


def test_an_extract_is_its_pages_text_from_start_to_end(tmp_path: Path) -> None:
    one_of_each(tmp_path)
    (tmp_path / "long.txt").write_text("\n\n".join(f"{n}. {TEXT} {TEXT}" for n in range(30)))
    found = list(extracts(tmp_path, chars=500))
    assert len({one.document for one in found}) == len(READERS) + 1
    for one in found:
        page = next(p for p in read_document(tmp_path / one.document) if p.number == one.page)
        assert page.text[one.start : one.end] == one.text
        assert len(one.text) <= 750


def test_extracts_lose_no_word_and_end_where_a_sentence_does() -> None:
    text = " ".join(f"Sentence number {n} is here to be cut at its end." for n in range(200))
    pieces = [text[start:end] for start, end in spans(text, 300)]
    assert " ".join(pieces) == text and all(piece.endswith(".") for piece in pieces)


def test_the_extracts_about_something_come_first(tmp_path: Path) -> None:
    topics = ["salmon rivers fish", "turbines power megawatts", "treaty border power share"]
    for number, words in enumerate(topics):
        (tmp_path / f"{number}.txt").write_text(f"This text is about {words}, and about {words.split()[0]} again. " * 3)
    found = search(list(extracts(tmp_path)), "power of a turbine", 5)
    assert [one.document for one in found] == ["1.txt", "2.txt"]


def locked_pdf() -> bytes:
    from pypdf import PdfWriter

    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.pdf", b"%PDF-1.4 torn", "documents.torn"),
        ("a.pdf", b"", "documents.torn"),
        ("a.docx", b"PK\x03\x04 torn", "documents.torn"),
        ("a.html", b"<html></html>", "documents.empty"),
        ("a.exe", b"MZ", "documents.kind"),
        ("a.csv", b"text\n", "data.no_rows"),
        ("a.jsonl", b'{"text": "whole"}\n{torn\n', "data.torn"),
        ("a.pdf", locked_pdf(), "documents.locked"),
    ],
)
def test_a_faulty_document_ends_in_a_sentence(name: str, data: bytes, code: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(read_document(tmp_path / name))
    assert caught.value.code == code and caught.value.remedy


def test_a_docx_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.documents.readers.MAX_UNPACKED", 10_000)
    with zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 20_000)
    with pytest.raises(DataError, match="too much"):
        list(read_document(tmp_path / "bomb.docx"))


def test_a_folder_that_is_not_there_or_holds_no_extract_is_a_sentence(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "gone", "documents.missing"), (tmp_path, "documents.none")):
        with pytest.raises(DataError) as caught:
            list(extracts(path))
        assert caught.value.code == code and caught.value.remedy


def test_what_of_a_folder_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    pdf(tmp_path / "b-scan.pdf", ["", ""])
    (tmp_path / "c.docx").write_bytes(b"PK torn")
    pdf(tmp_path / "d-half.pdf", [TEXT, "", ""])
    pdf(tmp_path / "e.pdf", [TEXT, TEXT, TEXT, ""])
    for name in ("old.doc", "older.doc", "notes.rtf"):
        (tmp_path / name).write_text(TEXT)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "notes.txt").write_text(TEXT)
    (tmp_path / "z.txt").write_text(TEXT)
    left_out: list[LeftOut] = []
    found = list(extracts(tmp_path, on_left_out=left_out.append))
    assert [one.document for one in found] == ["a.txt", "d-half.pdf", *["e.pdf"] * 3, "z.txt"]
    said = {one.document: one.sentence for one in left_out}
    assert "may be a scan" in said["b-scan.pdf"] and "OCR" in said["b-scan.pdf"] and "c.docx" in said["c.docx"]
    assert "2 of 3 pages of d-half.pdf hold no text" in said["d-half.pdf"]
    assert ".doc 2, .rtf 1" in said[tmp_path.name] and len(left_out) == 4
    with pytest.raises(DataError, match="may be a scan"):
        list(extracts(tmp_path / "b-scan.pdf"))
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    (tmp_path / "d-half.pdf").unlink(), (tmp_path / "e.pdf").unlink()
    with pytest.raises(DataError, match=r"holds no extract.*b-scan\.pdf holds no text"):
        list(extracts(tmp_path))


def test_a_document_that_cannot_be_read_is_a_rejected_seed_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    pdf(tmp_path / "b.pdf", [""])
    env = Env(None, {}, tmp_path, step="documents")  # type: ignore[arg-type]
    outcomes = list(documents(iter(()), Documents(path=str(tmp_path)), env))
    rejected = [one for one in outcomes if isinstance(one, Rejected)]
    assert len(outcomes) == 2 and [one.reason for one in rejected] == ["a document that cannot be read"]
    assert "b.pdf holds no text" in rejected[0].detail and rejected[0].candidate.fields["document"] == "b.pdf"


def test_words_that_a_line_cut_are_joined() -> None:
    assert tidy("re-\nservoir of\r\nthe   dam") == "reservoir of\nthe dam"
    assert tidy("  the \n  dam") == "the\ndam"


def test_code_and_lists_of_a_text_keep_how_their_lines_begin(tmp_path: Path) -> None:
    code = "```python\nfor dam in dams:\n    if dam.old:\n\tprint(dam)\n```"
    for name in ("code.md", "code.txt"):
        (tmp_path / name).write_text(f"# Dams \n\n\n\n{code}\n- one\n  - two   of  it\n")
        (page,) = read_document(tmp_path / name)
        assert page.text == f"# Dams\n\n{code}\n- one\n  - two of it"


ABOUT = {
    "dams": "The dam on the river holds back water for turbines. Engineers watch the reservoir and the spillway.",
    "bread": "Knead the dough with flour and yeast and bake the loaf in a hot oven until its crust is brown.",
    "tax": "The taxpayer files an income tax return with receipts, and the revenue office sends a refund.",
}


def shelf(place: Path, each: int = 8) -> Path:
    place.mkdir()
    for name, text in ABOUT.items():
        for number in range(each):
            (place / f"{name}{number}.txt").write_text(f"Note {number}. {text} That is all there is to say here.")
    return place


@pytest.mark.parametrize("by", ["words", "meaning", "both"])
def test_each_way_of_searching_finds_what_a_query_is_about(by: By, tmp_path: Path) -> None:
    index = Index(list(extracts(shelf(tmp_path / "shelf"))))
    for query, name in (("dam and reservoir", "dams"), ("bake a loaf of bread", "bread"), ("tax refund", "tax")):
        assert {one.document[: len(name)] for one in index.search(query, 8, by)} == {name}


def test_meaning_finds_what_shares_no_word_and_nothing_for_what_is_not_there(tmp_path: Path) -> None:
    index = Index(list(extracts(shelf(tmp_path / "shelf"))))
    assert index.search("baking recipes", 3) == []
    assert index.search("baking recipes", 3, "meaning")[0].document.startswith("bread")
    assert index.search("football championship", 3, "both") == []


def test_topics_are_the_clusters_that_a_person_sees_and_are_named_by_their_words(tmp_path: Path) -> None:
    place = shelf(tmp_path / "shelf")
    found = topics(list(extracts(place)), 3)
    assert [len(topic.extracts) for topic in found] == [8, 8, 8]
    for topic in found:
        assert len({one.document.rstrip("0123456789.tx") for one in topic.extracts} | {"ta"}) <= 2
    assert any("dam" in topic.name or "reservoir" in topic.name for topic in found)
    assert [topic.name for topic, _ in in_turn(found)][:4] == [*(topic.name for topic in found), found[0].name]
    assert topics(list(extracts(place)), 3) == found


def test_seeds_come_from_every_topic_in_turn_and_know_theirs(tmp_path: Path) -> None:
    env = Env(None, {}, tmp_path)  # type: ignore[arg-type]
    settings = Documents(path=str(shelf(tmp_path / "shelf")), topics=3)
    first = [one.fields for one in islice(documents(iter(()), settings, env), 3) if isinstance(one, Candidate)]
    assert {str(fields["document"])[:3] for fields in first} == {"dam", "bre", "tax"}
    assert len({fields["topic"] for fields in first}) == 3


def test_a_candidate_gets_the_extract_that_fits_it_and_is_out_without_one(tmp_path: Path) -> None:
    env = Env(None, {}, tmp_path, step="search")  # type: ignore[arg-type]
    settings = Search(path=str(shelf(tmp_path / "shelf")), query="{{ subject }}", take=2)
    seeds = iter([Candidate("a", {"subject": "tax refund"}), Candidate("b", {"subject": "football"})])
    found = list(search_step(seeds, settings, env))
    kept = [one for one in found if isinstance(one, Candidate)]
    assert [str(one.fields["document"])[:3] for one in kept] == ["tax", "tax"]
    assert len({one.seed for one in kept}) == 2
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["no extract is about it"]

"""Documents as seeds: text, Markdown, HTML, PDF, DOCX, CSV and JSONL, cut into extracts that know where they stand."""

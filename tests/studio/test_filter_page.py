"""A learned filter by clicks: form, figures with what to beware of, the filtered dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.dataset import DatasetDir
from synth.workspace import Workspace
from tests.studio.test_data_page import at_once, button, write
from tests.studio.test_views import page, text
from tests.synth.test_filtering import ratings, source, table

__all__ = ["at_once", "source"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("at_once")]


def test_a_head_on_ratings_filters_by_clicks_and_says_how_good_it_is(
    workspace: Workspace, source: DatasetDir, tmp_path: Path
) -> None:
    app = page("data", tab="quality", dataset=source.name)
    write(app, "… or a table of ratings", str(table(tmp_path / "ratings.jsonl", ratings())))
    app = button(app, "See what the filter would drop")
    assert not app.exception and "It would keep" in text(app) and "kappa" in text(app)
    write(app, "Name of the filtered dataset", "best")
    app = button(app, "Make filtered dataset")
    assert not app.exception and "is ready" in text(app)
    made = DatasetDir(workspace.datasets / "best")
    assert made.count("test") == source.count("test")
    dropped = source.count("train") - made.count("train")
    assert 0 < dropped < source.count("train") and sum(made.card.rejected.values()) >= dropped


def test_other_settings_want_another_look_before_the_dataset_is_made(source: DatasetDir) -> None:
    app = page("data", tab="quality", dataset=source.name)
    next(r for r in app.radio if r.label == "How rows are told apart").set_value("ngrams").run()
    app = button(app, "See what the filter would drop")
    assert "AUC" in text(app) and any(b.label == "Make filtered dataset" for b in app.button)
    write(app, "Percent", 30)  # type: ignore[arg-type]
    app.run()
    assert "look again" in text(app) and all(b.label != "Make filtered dataset" for b in app.button)


def test_a_filter_without_ratings_is_refused_with_what_it_needs(source: DatasetDir) -> None:
    app = button(page("data", tab="quality", dataset=source.name), "See what the filter would drop")
    assert any("scorers" in error.value for error in app.error)

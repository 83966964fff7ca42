"""`smolstudio data filter`: a dataset without the training rows that a learned filter puts low."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from studio.cli.options import JsonOption, WorkspaceOption, describe_dataset, key_values, print_json, workspace_of


def add(app: typer.Typer) -> None:
    """Add this command to `smolstudio data`."""
    app.command(name="filter")(filter_)


def filter_(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    settings: Annotated[
        list[str],
        typer.Argument(
            help="way=rubric ratings=… at_least=3, way=ngrams good=… bad=… percent=10, or way=ensemble with both "
            "and combine=max from_bin=18; text=both, prompt, target or written"
        ),
    ],
    name: Annotated[str, typer.Option("--as", help="Name of the filtered dataset; without it nothing is written")] = "",
    rows: Annotated[int, typer.Option(help="Without --as: how many dropped rows to show, the worst first")] = 3,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which training rows a learned filter would drop and how good it is; with --as, make the dataset without."""
    from studio.cli.terminal import ProgressLine
    from synth.dataset import open_dataset
    from synth.filtering.filtering import Filter, filter_dataset, preview_filter
    from synth.strict import validated

    place = workspace_of(workspace)
    found = open_dataset(dataset, place.datasets)
    chosen = validated(Filter, key_values(settings), "filter")
    if name:
        made = filter_dataset(found, name, place, chosen, ProgressLine())
        if not as_json:
            _print_figures(made.card.notes["filter"])
        describe_dataset(made, as_json)
        return
    seen = preview_filter(found, chosen, place, rows, ProgressLine())
    if as_json:
        print_json({"dataset": found.name, "kept": seen.kept, "dropped": seen.dropped, "filter": seen.notes})
        return
    _print_figures(seen.notes)
    kept = ", ".join(f"{count} {split}" for split, count in seen.kept.items())
    print(f"{found.name}: would keep {kept} rows and drop {sum(seen.dropped.values())}")
    for score, row in seen.samples:
        print(f"\n[{score:.2f} · {row.split} · {row.id[:12]}]\n{row.prompt[-1].text}\n  -> {row.target}")


def _print_figures(notes: dict[str, Any]) -> None:
    for name, figures in notes.items():
        if isinstance(figures, dict) and "thresholds" in figures:
            _print_head(name, figures, notes.get("kept_share_at"))
        elif isinstance(figures, dict) and "auc" in figures:
            counts = f"{figures['good']} good, {figures['bad']} bad texts"
            print(f"{name}: {counts}; AUC {figures['auc']}, F1 {figures['f1']} on texts it did not see")
    for answer, share in notes["kept_share_by_answer"].items():
        print(f"  of '{answer}' {share:.0%} stay")
    for warning in notes["warnings"]:
        print(f"  note: {warning}")


def _print_head(name: str, figures: dict[str, Any], kept: dict[str, float] | None) -> None:
    from studio.cli.terminal import table

    twice = "nothing was rated twice often enough"
    if figures["kappa"] is not None:
        twice = f"{figures['rated_twice']} twice, kappa {figures['kappa']:.2f}, equal {figures['agreement']:.0%}"
    print(f"{name}: {figures['rated']} rated, {twice}; the head is {figures['error']:.2f} points off on average")
    rows = []
    for one in figures["thresholds"]:
        share = "–" if kept is None else f"{kept[str(one['at_least'])]:.0%}"
        low, high = one["f1_range"]
        f1 = f"{one['f1']:.2f} [{low:.2f}, {high:.2f}]"
        rows.append([f">= {one['at_least']}", share, f"{one['rated_kept']:.0%}", f1, f"{one['f1_of_all']:.2f}"])
    print(table(["points", "kept", "of the rated", "F1 against the teacher", "F1 of keeping all"], rows))

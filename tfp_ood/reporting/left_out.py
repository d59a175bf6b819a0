"""Which files of folders were left out: tables for pages."""

from collections.abc import Sequence

from tfp_ood.data.folders import IMAGE_SUFFIXES, NOT_LOOKED_AT
from tfp_ood.reporting import html
from tfp_ood.reporting.judged import JudgedSet
from tfp_ood.reporting.outcome import is_changed


def unreadable(judged: Sequence[JudgedSet]) -> str:
    """The files that could not be read; "" if there are none."""
    rows = [
        [one.label, name, reason]
        for one in _own_files(judged)
        for name, reason in one.about.preprocessing.get("skipped", [])
    ]
    return html.table(f"{len(rows):,} files were left out", [], rows, "facts") if rows else ""


def not_looked_at(judged: Sequence[JudgedSet]) -> str:
    """The files that are no images by their names, or no regular files; "" if there are none."""
    found = {
        one.label: one.about.preprocessing[NOT_LOOKED_AT]
        for one in _own_files(judged)
        if NOT_LOOKED_AT in one.about.preprocessing
    }
    if not found:
        return ""
    rows = [
        [label, name, what or "no image by its name"]
        for label, others in found.items()
        for name, what in others["files"]
    ]
    count = sum(others["num_files"] for others in found.values())
    first = f", of which {len(rows):,} are listed" if len(rows) < count else ""
    caption = (
        f"Files that were not looked at: {count:,}{first}, with what they seem to be. Images are "
        f"regular files whose names end in {', '.join(IMAGE_SUFFIXES)}"
    )
    return html.table(caption, [], rows, "facts")


def _own_files(judged: Sequence[JudgedSet]) -> list[JudgedSet]:
    """The sets without those made of the own images, which lack the same files."""
    return [one for one in judged if not is_changed(one.about.preprocessing)]

"""Identities in a prepared data set: whether they are known, and who is in several splits."""

from collections.abc import Iterable, Sequence

from facial_attributes_training.data.manifest import IDENTITY, Row


def describe_people(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return sentences on whether identities are known, and on how many people are in more than one split.

    People in two splits are not excluded, since the splits may be a benchmark's.
    """
    named = [row for row in rows if row.extra.get(IDENTITY)]
    splits = sorted({row.split for row in rows})
    if not named:
        others = sorted({name for row in rows for name in row.extra})
        hint = f" (further columns here: {', '.join(others)})" if others else ""
        risk = ", so one person may be in several splits" if len(splits) > 1 else ""
        return (
            f"Identities are not known{risk}: there is no column {IDENTITY}. If another column has the person in an "
            f"image, prepare the CSV with --column {IDENTITY}=COLUMN{hint}.",
        )
    places: dict[str, set[str]] = {}
    for row in named:
        places.setdefault(row.extra[IDENTITY], set()).add(row.split)
    found = [f"Identities are in the column {IDENTITY}: {len(places)} people in {len(named)} samples."]
    if len(named) < len(rows):
        found.append(f"{len(rows) - len(named)} more samples have no identity.")
    torn = {person for person, splits_of in places.items() if len(splits_of) > 1}
    if torn:
        count = sum(row.extra[IDENTITY] in torn for row in named)
        found.append(
            f"{len(torn)} people are in several splits, with {count} samples ({_pairs(places.values())}), so metrics "
            "may be too high; --splits draws splits grouped by identity."
        )
    elif len(splits) > 1:
        found.append("None of them is in two splits.")
    return tuple(found)


def _pairs(places: Iterable[set[str]]) -> str:
    """Return how many people every two splits have in common, such as `3 in test and train`."""
    counts: dict[tuple[str, str], int] = {}
    for found in places:
        names = sorted(found)
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                counts[first, second] = counts.get((first, second), 0) + 1
    return ", ".join(f"{count} in {first or 'none'} and {second}" for (first, second), count in sorted(counts.items()))

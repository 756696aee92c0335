"""What a prepared data set says of the people in it: by what they are told apart, and who is in several splits."""

from collections.abc import Iterable, Sequence

from facial_attributes_training.data.manifest import IDENTITY, Row


def describe_people(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return sentences that say by what people are told apart, and how many of them are in more than one split.

    Nobody is left out for being in two splits, since the splits may be those that others report figures on.
    """
    named = [row for row in rows if row.extra.get(IDENTITY)]
    splits = sorted({row.split for row in rows})
    if not named:
        others = sorted({name for row in rows for name in row.extra})
        hint = f" (further columns here: {', '.join(others)})" if others else ""
        risk = ", so that one person may be in several splits" if len(splits) > 1 else ""
        return (
            f"Nothing tells people apart{risk}: there is no column {IDENTITY}. If another one says who is in a "
            f"picture, prepare the CSV with --column {IDENTITY}=COLUMN{hint}.",
        )
    places: dict[str, set[str]] = {}
    for row in named:
        places.setdefault(row.extra[IDENTITY], set()).add(row.split)
    told = [f"People are told apart by the column {IDENTITY}: {len(places)} of them in {len(named)} rows."]
    if len(named) < len(rows):
        told.append(f"Of {len(rows) - len(named)} more rows it is not known who is in them.")
    torn = {person for person, found in places.items() if len(found) > 1}
    if torn:
        count = sum(row.extra[IDENTITY] in torn for row in named)
        told.append(
            f"{len(torn)} people are in several splits, with {count} rows ({_pairs(places.values())}), so that figures "
            "may flatter; --splits draws splits that keep people together."
        )
    elif len(splits) > 1:
        told.append("None of them is in two splits.")
    return tuple(told)


def _pairs(places: Iterable[set[str]]) -> str:
    """Return how many people every two splits share, such as `3 in test and train`."""
    counts: dict[tuple[str, str], int] = {}
    for found in places:
        names = sorted(found)
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                counts[first, second] = counts.get((first, second), 0) + 1
    return ", ".join(f"{count} in {first or 'none'} and {second}" for (first, second), count in sorted(counts.items()))

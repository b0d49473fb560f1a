"""Words that the tables of `suti evaluate` have in common."""

_FEW = 10  # subjects, below which a bootstrap's interval is narrower than it should be


def told_subjects(count: int) -> str:
    """How many subjects a number rests on, with a warning where they are too few to say much of others."""
    return f"{count} subject{'' if count == 1 else 's'}{', few' if count < _FEW else ''}"

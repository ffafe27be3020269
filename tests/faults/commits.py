"""Which version of the code a campaign tried, and how often: a campaign may go on for days, with many versions."""

from collections.abc import Mapping


def add_commit(earlier: Mapping[str, int], commit: str | None, total: int) -> dict[str, int]:
    """Counts by commit.

    Args:
        earlier: counts of earlier calls by commit.
        commit: of this call; None: unknown.
        total: count of all calls, this one included.
    """
    here = total - sum(earlier.values())
    name = commit or "unknown"
    return {**earlier, name: earlier.get(name, 0) + here} if here else dict(earlier)

"""Writes windows of made-up data, for the tutorial: a month of a gym's members, and who of them left after it.

    python examples/members/make_windows.py FOLDER WINDOW ... [--moved] [--unlabelled | --requests] [--broken ROWS]

The same name gives the same rows. Nothing of it is about real people.
"""

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

MEMBERS = 2000
PLANS = ("monthly", "student", "yearly")

Row = dict[str, object]


def rows_of(window: str, *, moved: bool) -> list[Row]:
    """The members of a month.

    Args:
        window: The month, from which all chance is drawn.
        moved: Whether the gym has moved house: members come more often and stay longer, and those who come often leave.
    """
    chance = np.random.default_rng(int.from_bytes(window.encode()) % 2**32)
    usual = 10 if moved else 8
    visits = chance.poisson(usual, MEMBERS)
    minutes = chance.normal(75 if moved else 50, 12, MEMBERS).clip(5, 180).round(1)
    plans = chance.choice(PLANS, MEMBERS, p=[0.5, 0.2, 0.3])
    ages = chance.integers(16, 80, MEMBERS)
    leaning = (0.5 if moved else -0.5) * (visits - usual) + 0.8 * (plans == "monthly") - 0.8
    left = chance.random(MEMBERS) < 1 / (1 + np.exp(-leaning))
    columns = {"plan": plans, "age": ages, "visits": visits, "minutes": minutes, "churned": left.astype(int)}
    members = (f"m{number:04d}" for number in range(MEMBERS))
    return [
        {"member_id": member, **dict(zip(columns, values, strict=True))}
        for member, *values in zip(members, *(column.tolist() for column in columns.values()), strict=True)
    ]


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows under another name, and renames: a window is whole when it has its name."""
    first, *others = rows
    beside = path.with_suffix(".tmp")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerows([first, *others])
    beside.rename(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes windows of made-up members of a gym.")
    parser.add_argument("folder", type=Path, help="where the windows go; made where it is not there")
    parser.add_argument("windows", nargs="+", help="their names, such as 2024-01")
    parser.add_argument("--moved", action="store_true", help="the gym has moved house, and other members leave")
    parser.add_argument(
        "--unlabelled", action="store_true", help="who left is known later: WINDOW.labels.csv beside it"
    )
    parser.add_argument(
        "--requests", action="store_true", help="WINDOW.rows.json and WINDOW.labels.json, for the service"
    )
    parser.add_argument("--broken", type=int, default=0, metavar="ROWS", help="so many rows have no number of minutes")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for window in given.windows:
        rows = rows_of(window, moved=given.moved)
        labels = [{"member_id": row["member_id"], "churned": row["churned"]} for row in rows]
        unlabelled = [{name: value for name, value in row.items() if name != "churned"} for row in rows]
        for row in rows[: given.broken]:
            row["minutes"] = "a lot"
        if given.requests:
            feedback = [{"id": row["member_id"], "label": bool(row["churned"])} for row in labels]
            (given.folder / f"{window}.rows.json").write_text(json.dumps(unlabelled))
            (given.folder / f"{window}.labels.json").write_text(json.dumps(feedback))
        elif given.unlabelled:
            write_csv(given.folder / f"{window}.labels.csv", labels)
            write_csv(given.folder / f"{window}.csv", unlabelled)
        else:
            write_csv(given.folder / f"{window}.csv", rows)


if __name__ == "__main__":
    main()

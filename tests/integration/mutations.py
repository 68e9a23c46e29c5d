"""Mutations of a good window: how each is made, and the outcome that it must have.

The table is `MUTATIONS`; cuts and bombs, which need no graph, stand apart. What every mutation must leave untouched
stands in `test_mutations`.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 200
MIN_ROWS = 100
CONTRACT = f"""
name = "small"
target = "bought"
row_id = "visit"
split_by = "customer"
[limits]
min_rows = {MIN_ROWS}
[drift]
sample_rows = 100
[features.price]
type = "float"
range = [-100, 100]
[features.amount]
type = "float"
[features.visits]
type = "integer"
nullable = true
[features.member]
type = "boolean"
[features.shop]
type = "category"
categories = ["north", "south"]
[features.region]
type = "category"
nullable = true
categories = ["hill", "coast"]
new_categories = "as_missing"
"""
"""A number with a range and one without, one that may be null, and a category of either policy."""


@dataclass(frozen=True)
class Fit:
    """The window is used, with all of its rows."""

    rows: int = ROWS
    warns: str | None = None
    """A check that warns all the same."""


@dataclass(frozen=True)
class Rows:
    """The window is used, without some rows that are in quarantine for one reason."""

    reason: str
    count: int
    rows: int = ROWS


@dataclass(frozen=True)
class Quarantined:
    """The window as a whole is not used."""

    says: str
    """Words of the fault; `{window}` stands for the window's name."""
    red: str = "window_can_be_read"
    """The check that is red and says so."""
    rows: int | None = None
    """How many rows were read and stored for someone to look at; None where the window cannot be read."""


@dataclass(frozen=True)
class Waits:
    """No run is asked for until something else comes."""

    waits_for: str


@dataclass(frozen=True)
class Ignored:
    """No window is made of it."""

    shown_as: str | None
    """Its name as the sensor shows it; None where it is passed over without a word, as a file under way is."""


Outcome = Fit | Rows | Quarantined | Waits | Ignored
Land = Callable[[Path, str], object]
"""Puts something into a landing folder, for a window of that name."""


@dataclass(frozen=True)
class Mutation:
    """One row of the table."""

    name: str
    land: Land
    outcome: Outcome
    earlier: Callable[[Path, str], str] | None = None
    """Lands a good window that was taken before, and gives its name."""


def good_frame(window: str, rows: int = ROWS) -> pd.DataFrame:
    """Rows that hold the contract; others for every window."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(window.encode()).digest()[:8]))
    return pd.DataFrame(
        {
            "visit": [f"{window}-{row}" for row in range(rows)],
            "customer": [f"customer-{row % 50}" for row in range(rows)],
            "bought": np.arange(rows) % 2 == 0,
            "price": random.normal(0, 1, rows),
            "amount": random.normal(0, 1, rows),
            "visits": pd.array(random.integers(0, 9, rows), dtype="Int64"),
            "member": random.random(rows) < 0.5,
            "shop": random.choice(["north", "south"], rows),
            "region": random.choice(["hill", "coast"], rows),
        }
    )


def land_good(landing: Path, window: str) -> str:
    """A good window, as Parquet."""
    good_frame(window).to_parquet(landing / f"{window}.parquet")
    return window


def land_good_csv(landing: Path, window: str) -> Path:
    """A good window, as CSV."""
    path = landing / f"{window}.csv"
    path.write_bytes(csv_of(good_frame(window)))
    return path


def csv_of(frame: pd.DataFrame, *, separator: str = ",", line_end: str = "\n") -> bytes:
    """A frame as a CSV file."""
    return frame.to_csv(index=False, sep=separator, lineterminator=line_end).encode()


def write_checksum(path: Path, of: bytes) -> None:
    """Writes the checksum file that says that a landed file holds these bytes."""
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(of).hexdigest()}  {path.name}\n")


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Land:
    """A Parquet file of a changed frame."""
    return lambda landing, window: change(good_frame(window)).to_parquet(landing / f"{window}.parquet")


def arrow(change: Callable[[pa.Table], pa.Table]) -> Land:
    """A Parquet file of a changed Arrow table, which can hold what a frame cannot."""

    def land(landing: Path, window: str) -> None:
        table = pa.Table.from_pandas(good_frame(window), preserve_index=False)
        pq.write_table(change(table), landing / f"{window}.parquet")

    return land


def csv(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Land:
    """A CSV file of a changed frame."""
    return csv_bytes(lambda window: csv_of(change(good_frame(window))))


def csv_bytes(make: Callable[[str], bytes]) -> Land:
    """A CSV file of these bytes."""
    return lambda landing, window: (landing / f"{window}.csv").write_bytes(make(window))


def csv_line(change: Callable[[bytes], bytes], *, line: int = 5) -> Land:
    """A CSV file of which one line is changed; the first is 1, as an editor counts."""

    def make(window: str) -> bytes:
        lines = csv_of(good_frame(window)).splitlines(keepends=True)
        lines[line - 1] = change(lines[line - 1])
        return b"".join(lines)

    return csv_bytes(make)


def put(column: str, value: Any, rows: int | None = None) -> Callable[[pd.DataFrame], pd.DataFrame]:  # noqa: ANN401
    """Sets a column to a value: in the first rows, or throughout where no number is given."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        if rows is None:
            return frame.assign(**{column: value})
        kind = str if isinstance(value, str) else object if value is None else frame[column].dtype
        values = frame[column].astype(kind)
        values.iloc[:rows] = value
        return frame.assign(**{column: values})

    return change


def put_arrow(column: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    """Sets a column of an Arrow table."""
    return lambda table: table.set_column(table.column_names.index(column), column, values)


def bytes_at(name: str, content: bytes = b"") -> Land:
    """A file of some name, in which `{window}` stands for the window's."""
    return lambda landing, window: (landing / name.format(window=window)).write_bytes(content)


def good_at(name: str) -> Land:
    """A good window under another name."""
    return lambda landing, window: good_frame(window).to_parquet(landing / name.format(window=window))


def late_labels(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Land:
    """A window without its target, and labels that came later."""

    def land(landing: Path, window: str) -> None:
        frame = good_frame(window)
        frame.drop(columns="bought").to_parquet(landing / f"{window}.parquet")
        change(frame[["visit", "bought"]]).to_csv(landing / f"{window}.labels.csv", index=False)

    return land


def with_checksum(content: Callable[[bytes], bytes]) -> Land:
    """A good CSV file, and beside it what stands for its checksum."""

    def land(landing: Path, window: str) -> None:
        path = land_good_csv(landing, window)
        checksum_path(path).write_bytes(content(path.read_bytes()))

    return land


def checksum_path(path: Path) -> Path:
    """Where a landed file's checksum stands."""
    return path.with_name(f"{path.name}.sha256")


def checksum_of(content: bytes) -> bytes:
    """What `sha256sum` says of these bytes."""
    return hashlib.sha256(content).hexdigest().encode() + b"  a-file\n"


def land_other_before(landing: Path, window: str) -> str:
    """Other rows, under the same name."""
    good_frame(f"{window}-before").to_parquet(landing / f"{window}.parquet")
    return window


def land_original(landing: Path, window: str) -> str:
    """The same bytes, under another name."""
    original = f"{window}-original"
    good_frame(window).to_parquet(landing / f"{original}.parquet")
    return original


def _link(landing: Path, window: str) -> None:
    outside = landing.parent / f"{window}-outside.parquet"
    good_frame(window).to_parquet(outside)
    (landing / f"{window}.parquet").symlink_to(outside)


def _linked_folder(landing: Path, window: str) -> None:
    outside = landing.parent / f"{window}-outside"
    outside.mkdir()
    good_frame(window).to_parquet(outside / "rows.parquet")
    (landing / window).symlink_to(outside, target_is_directory=True)


def _both_formats(landing: Path, window: str) -> None:
    land_good(landing, window)
    land_good_csv(landing, window)


def _fractions(frame: pd.DataFrame) -> pd.DataFrame:
    visits = frame.visits.astype(float)
    visits.iloc[:3] += 0.5
    return frame.assign(visits=visits)


def _contradicted(labels: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([labels, labels.head(4).assign(bought=~labels.bought.head(4))])


def _many(frame: pd.DataFrame, columns: int = 10_000) -> pd.DataFrame:
    return frame.join(pd.DataFrame(0, frame.index, [f"extra{number}" for number in range(columns)]))


def _as_csv(window: str) -> bytes:
    return csv_of(good_frame(window))


def _missing(column: str) -> Quarantined:
    return Quarantined(f"columns are missing: {column}")


def _retyped(column: str, kind: str, wanted: str) -> Quarantined:
    return Quarantined(f"columns are of another type: {column} is {kind}, the contract says {wanted}")


def _too_many(reason: str, count: int = ROWS) -> Quarantined:
    fault = f"{count} of {ROWS} rows break the contract, more than the share of 0.05 that it allows; most often: "
    return Quarantined(f"{fault}{reason} ({count})", "quarantine_is_within_its_limit", rows=ROWS)


def _too_few(rows: int) -> Quarantined:
    return Quarantined(f"{rows} clean rows, the contract asks for {MIN_ROWS}", "window_has_enough_rows", rows=rows)


_TEXTS = pa.array(["1.5"] * ROWS)
_TIMES = pa.array([0] * ROWS, pa.timestamp("us"))
_LISTS = pa.array([[1.0, 2.0]] * ROWS)
_STRUCTS = pa.array([{"a": 1.0}] * ROWS)
_BAD_LINE = "line: cannot be read as a row of the file"

PARQUET = (
    Mutation("nothing is changed", land_good, Fit()),
    Mutation("column missing", parquet(lambda f: f.drop(columns="price")), _missing("price")),
    Mutation("id column missing", parquet(lambda f: f.drop(columns="visit")), _missing("visit")),
    Mutation("split key column missing", parquet(lambda f: f.drop(columns="customer")), _missing("customer")),
    Mutation("column renamed", parquet(lambda f: f.rename(columns={"price": "cost"})), _missing("price")),
    Mutation("column renamed in case", parquet(lambda f: f.rename(columns={"price": "Price"})), _missing("price")),
    Mutation("column extra", parquet(put("colour", "red")), Fit()),
    Mutation("10,000 columns extra", parquet(_many), Fit()),
    Mutation("number as text", arrow(put_arrow("price", _TEXTS)), _retyped("price", "VARCHAR", "float")),
    Mutation("number as time", arrow(put_arrow("price", _TIMES)), _retyped("price", "TIMESTAMP", "float")),
    Mutation("number as list", arrow(put_arrow("price", _LISTS)), _retyped("price", "DOUBLE[]", "float")),
    Mutation("number as struct", arrow(put_arrow("price", _STRUCTS)), _retyped("price", "STRUCT(a DOUBLE)", "float")),
    Mutation("number as truth", parquet(put("price", True)), _retyped("price", "BOOLEAN", "float")),
    Mutation("truth as fraction", parquet(put("member", 0.5)), _too_many("member: not true or false")),
    Mutation("text as number", parquet(put("shop", 7)), _too_many("shop: unknown category")),
    Mutation("text as bytes", parquet(put("shop", b"north")), _retyped("shop", "BLOB", "category")),
    Mutation("all null", parquet(put("price", None)), _too_many("price: missing")),
    Mutation("all null where null may be", parquet(put("visits", None)), Fit()),
    Mutation("all inf", parquet(put("amount", np.inf)), _too_many("amount: not finite")),
    Mutation("one inf", parquet(put("amount", -np.inf, 1)), Rows("amount: not finite", 1)),
    Mutation("one NaN", parquet(put("amount", np.nan, 1)), Rows("amount: missing", 1)),
    Mutation("1e308", parquet(put("amount", 1e308, 3)), Rows("amount: not finite", 3)),
    Mutation("whole numbers with fractions", parquet(_fractions), Rows("visits: not a whole number", 3)),
    Mutation("whole numbers no float32 holds", parquet(put("visits", 2**53, 2)), Rows("visits: not a whole number", 2)),
    Mutation("out of range", parquet(put("price", 100.5, 10)), Rows("price: out of range", 10)),
    Mutation("one more out of range", parquet(put("price", 100.5, 11)), _too_many("price: out of range", 11)),
    Mutation("new category", parquet(put("shop", "west", 5)), Rows("shop: unknown category", 5)),
    Mutation("new category, read as missing", parquet(put("region", "desert", 5)), Fit()),
    Mutation("SQL as category", parquet(put("shop", "'); DROP TABLE twice --", 1)), Rows("shop: unknown category", 1)),
    Mutation("two rows of one id", parquet(put("visit", "same", 2)), Rows("visit: not unique", 2)),
    Mutation("all rows of one id", parquet(put("visit", "same")), _too_many("visit: not unique")),
    Mutation("ids missing", parquet(put("visit", None, 3)), Rows("visit: missing", 3)),
    Mutation("split keys missing", parquet(put("customer", None, 3)), Rows("customer: missing", 3)),
    Mutation("labels of other words", parquet(put("bought", "maybe", 3)), Rows("bought: not true or false", 3)),
    Mutation("labels all null", parquet(put("bought", None)), Fit(warns="labels_have_come")),
    Mutation("labels half there", parquet(put("bought", None, 100)), Fit(warns="labels_have_come")),
    Mutation("label column missing", parquet(lambda f: f.drop(columns="bought")), Fit(warns="labels_have_come")),
    Mutation("late labels that contradict", late_labels(_contradicted), Rows("bought: contradictory labels", 4)),
    Mutation("late labels of no row", late_labels(lambda f: pd.concat([f, f.assign(visit="x" + f.visit)])), Fit()),
    Mutation(
        "late labels without a key",
        late_labels(lambda f: f.drop(columns="visit")),
        _missing("{window}.labels.csv lacks visit"),
    ),
    Mutation("no rows", parquet(lambda f: f.head(0)), _too_few(0)),
    Mutation("one row", parquet(lambda f: f.head(1)), _too_few(1)),
    Mutation("one row too few", parquet(lambda f: f.head(MIN_ROWS - 1)), _too_few(MIN_ROWS - 1)),
    Mutation("as few rows as may be", parquet(lambda f: f.head(MIN_ROWS)), Fit(MIN_ROWS)),
    Mutation("no columns", arrow(lambda table: table.select([])), Quarantined("cannot be read as Parquet")),
    Mutation("empty Parquet file", bytes_at("{window}.parquet"), Quarantined("cannot be read as Parquet")),
    Mutation(
        "CSV called Parquet", bytes_at("{window}.parquet", b"visit\n1\n"), Quarantined("cannot be read as Parquet")
    ),
)

CSV = (
    Mutation("plain CSV", land_good_csv, Fit()),
    Mutation("byte order mark", csv_bytes(lambda window: b"\xef\xbb\xbf" + _as_csv(window)), Fit()),
    Mutation("CRLF", csv_bytes(lambda window: csv_of(good_frame(window), line_end="\r\n")), Fit()),
    Mutation("semicolons", csv_bytes(lambda window: csv_of(good_frame(window), separator=";")), Fit()),
    Mutation("UTF-16", csv_bytes(lambda w: _as_csv(w).decode().encode("utf-16")), Quarantined("is not UTF-8 text")),
    Mutation("a line of Latin-1", csv_line(lambda line: b"caf\xe9-" + line), Rows(_BAD_LINE, 1)),
    Mutation("a first line of Latin-1", csv_line(lambda x: b"\xe9," + x, line=1), Quarantined("is not UTF-8 text")),
    Mutation("a zero byte in an id", csv_line(lambda line: b"\0" + line), Fit()),
    Mutation("a zero byte in a number", csv(put("price", "1\0", 1)), Rows("price: not a number", 1)),
    Mutation("a field too many", csv_line(lambda line: b"x," + line), Rows(_BAD_LINE, 1)),
    Mutation("a field too few", csv_line(lambda line: line.partition(b",")[2]), Rows(_BAD_LINE, 1)),
    Mutation("a quote left open", csv_line(lambda line: b'"' + line), Quarantined("a quote is opened and not closed")),
    Mutation("a line of 3 MB", csv_line(lambda line: b"x" * 3_000_000 + line), Rows(_BAD_LINE, 1)),
    Mutation("empty CSV file", bytes_at("{window}.csv"), Quarantined("is empty")),
    Mutation("nothing but line ends", bytes_at("{window}.csv", b"\n\n\n"), Quarantined("column 1 has no name")),
    Mutation("header only", csv(lambda f: f.head(0)), _too_few(0)),
    Mutation("one row of CSV", csv(lambda f: f.head(1)), _too_few(1)),
    Mutation(
        "no header",
        csv_bytes(lambda window: csv_of(good_frame(window).assign(member="no")).partition(b"\n")[2]),
        _missing("visit"),
    ),
    Mutation("CSV column missing", csv(lambda f: f.drop(columns="price")), _missing("price")),
    Mutation("CSV column extra", csv(put("colour", "red")), Fit()),
    Mutation("SQL as column", csv(put("'a': 'INT'}); DROP TABLE unreadable_lines --", 1)), Fit()),
    Mutation("2,000 CSV columns", csv(lambda f: _many(f, 2_000)), Fit()),
    Mutation(
        "column twice",
        csv_line(lambda line: line.replace(b"amount", b"price"), line=1),
        Quarantined("the column 'price' stands twice"),
    ),
    Mutation(
        "column without a name", csv_line(lambda x: x.replace(b"amount", b""), line=1), Quarantined("has no name")
    ),
    Mutation("mixed types", csv(put("price", "dear", 3)), Rows("price: not a number", 3)),
    Mutation("numbers as words", csv(put("price", "dear")), _too_many("price: not a number")),
    Mutation("CSV all null", csv(put("price", None)), _too_many("price: missing")),
    Mutation("CSV all null where null may be", csv(put("visits", None)), Fit()),
    Mutation("CSV one inf", csv(put("amount", np.inf, 1)), Rows("amount: not finite", 1)),
    Mutation("CSV 1e308", csv(put("amount", 1e308, 3)), Rows("amount: not finite", 3)),
    Mutation("CSV 1e999", csv(put("amount", "1e999", 3)), Rows("amount: not finite", 3)),
    Mutation("CSV fractions", csv(_fractions), Rows("visits: not a whole number", 3)),
    Mutation("CSV truth of other words", csv(put("member", "perhaps", 3)), Rows("member: not true or false", 3)),
    Mutation("CSV labels of other words", csv(put("bought", "maybe", 3)), Rows("bought: not true or false", 3)),
    Mutation("CSV labels all null", csv(put("bought", None)), Fit(warns="labels_have_come")),
    Mutation("CSV two rows of one id", csv(put("visit", "same", 2)), Rows("visit: not unique", 2)),
    Mutation("CSV ids missing", csv(put("visit", None, 3)), Rows("visit: missing", 3)),
    Mutation("right checksum", with_checksum(checksum_of), Fit()),
    Mutation("wrong checksum", with_checksum(lambda _: checksum_of(b"")), Quarantined("has the SHA-256")),
    Mutation("no checksum", with_checksum(lambda _: b"?\n"), Quarantined("does not begin with a SHA-256")),
)

FILES = (
    Mutation("link to a good file", _link, Ignored("{window}.parquet")),
    Mutation("link to a folder", _linked_folder, Ignored("{window}")),
    Mutation("pipe", lambda landing, window: os.mkfifo(landing / f"{window}.csv"), Ignored("{window}.csv")),
    Mutation(
        "folder called as a file",
        lambda landing, window: (landing / f"{window}.parquet").mkdir(),
        Ignored("{window}.parquet"),
    ),
    Mutation("line end in a name", good_at("{window}\n.parquet"), Ignored("'{window}\\n.parquet'")),
    Mutation("backslashes in a name", good_at("..\\{window}.parquet"), Ignored(None)),
    Mutation("name of 240 letters", good_at("a" * 240 + ".parquet"), Ignored("a" * 240 + ".parquet")),
    Mutation("archive", good_at("{window}.parquet.zip"), Ignored("{window}.parquet.zip")),
    Mutation("suffix in capitals", good_at("{window}.PARQUET"), Ignored("{window}.PARQUET")),
    Mutation("dotfile", good_at(".{window}.parquet"), Ignored(None)),
    Mutation("file under way", good_at("{window}.parquet.part"), Ignored(None)),
    Mutation("labels alone", bytes_at("{window}.labels.csv", b"visit,bought\n"), Waits("only its labels have landed")),
    Mutation("checksum alone", bytes_at("{window}.csv.sha256", b"?"), Waits("only its checksum has landed")),
    Mutation("both formats", _both_formats, Waits("a choice: {window}.csv and {window}.parquet")),
    Mutation(
        "same bytes under another name",
        land_good,
        Quarantined("holds the same bytes as the window {window}-original"),
        earlier=land_original,
    ),
    Mutation("other bytes under the same name", land_good, Fit(), earlier=land_other_before),
    Mutation(
        "unfit bytes over fit ones",
        parquet(put("price", np.inf)),
        _too_many("price: not finite"),
        earlier=land_other_before,
    ),
    Mutation(
        "unreadable bytes over fit ones",
        bytes_at("{window}.parquet"),
        Quarantined("cannot be read as Parquet"),
        earlier=land_other_before,
    ),
)

MUTATIONS = PARQUET + CSV + FILES

CUTS = range(20)


def cut_parquet(landing: Path, window: str, at: int) -> None:
    """A good Parquet file, cut off at the `at`-th of 20 places."""
    land_good(landing, window)
    path = landing / f"{window}.parquet"
    os.truncate(path, path.stat().st_size * at // len(CUTS))


def cut_csv(landing: Path, window: str, at: int) -> None:
    """A good CSV file, cut off within a line at the `at`-th of 20 places."""
    content = _as_csv(window)
    size = len(content) * at // len(CUTS)
    (landing / f"{window}.csv").write_bytes(content[: size - content[:size].endswith(b"\n")])


def cut_csv_at_a_line(landing: Path, window: str, at: int) -> None:
    """A good CSV file with its checksum, cut off after the `at`-th of 20 lines."""
    lines = _as_csv(window).splitlines(keepends=True)
    path = landing / f"{window}.csv"
    path.write_bytes(b"".join(lines[: len(lines) * at // len(CUTS)]))
    checksum_path(path).write_bytes(checksum_of(b"".join(lines)))


BOMB_BYTES = 2_200_000_000


def bomb(*, column: str, text_bytes: int = 1_000_000, group_bytes: int = BOMB_BYTES, dictionary: bool = False) -> Land:
    """A Parquet file of some MB at most, whose column of texts unpacks to more than 2 GB.

    Args:
        column: The column.
        text_bytes: Bytes of each text.
        group_bytes: Bytes that each of its row groups unpacks to.
        dictionary: Whether the text is stored once and referred to, so that even the file's own sizes look harmless.
    """

    def land(landing: Path, window: str) -> None:
        rows, rows_of_group = BOMB_BYTES // text_bytes, group_bytes // text_bytes
        table = pa.Table.from_pandas(good_frame(window, rows), preserve_index=False)
        one = pa.array(["a" * text_bytes])
        texts = pa.chunked_array([one] * rows)  # one text in memory, however many rows name it
        if column in table.column_names:
            table = table.drop_columns(column)
        pq.write_table(
            table.append_column(column, texts),
            landing / f"{window}.parquet",
            row_group_size=rows_of_group,
            compression="zstd",
            use_dictionary=dictionary,
            dictionary_pagesize_limit=2 * text_bytes,
            write_statistics=False,
        )

    return land

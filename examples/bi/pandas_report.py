"""Reads the log with pandas: the minutes of each person, and a check against the CSV.

    python pandas_report.py FOLDER
"""

import sys
from pathlib import Path

import pandas

from rollbook_files import save

LISTS = {"Secondary teams", "Tags", "CPD labels", "Team IDs"}
TIMES = {"Deactivated", "Happened at", "Expired at", "Certificate expires at", "Stored at"}
BOOLEANS = {"Completed", "Archived", "Time limit exceeded"}
NUMBERS = {"E-learning / Quiz score", "Score", "Total time in seconds"}


def to_cells(heading, column):
    """The values of a column as the cells of the CSV. Numbers stay numbers."""
    if heading in TIMES:
        assert str(column.dtype).endswith(", UTC]"), (heading, column.dtype)
        # The CSV has milliseconds, the Parquet file has microseconds.
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3].add("Z").fillna("")
    if heading in NUMBERS:
        assert column.dtype.kind in "fi", (heading, column.dtype)
        return column.astype("float64").fillna(-1)
    if heading in BOOLEANS:
        return column.map({True: "Yes", False: "No"}).fillna("")
    if heading in LISTS:
        return column.map(lambda texts: "" if texts is None else "; ".join(texts))
    return column.map(lambda value: "" if value is None or value is pandas.NaT or value != value else str(value))


def compare(folder, **parameters):
    """Compares the Parquet file with the CSV of the same request, and returns the file."""
    log = pandas.read_parquet(save("/v1/activities/export.parquet", folder / "log.parquet", columns="full", **parameters))
    csv = pandas.read_csv(
        save("/v1/activities/export.csv", folder / "log.csv", columns="full", raw="true", **parameters),
        dtype=str,
        keep_default_na=False,
    )
    assert list(log.columns) == list(csv.columns)
    assert len(log) == len(csv)
    for heading in log.columns:
        expected = csv[heading]
        if heading in NUMBERS:
            expected = pandas.to_numeric(expected.str.rstrip("%")).fillna(-1)
        different = to_cells(heading, log[heading]).astype(object) != expected.astype(object)
        assert not different.any(), (heading, log[heading][different].head(), csv[heading][different].head())
    return log


def main():
    folder = Path(sys.argv[1])
    empty = compare(folder, **{"from": "1999-01-01", "to": "1999-01-02"})
    assert len(empty) == 0, len(empty)
    log = compare(folder)
    minutes = log.groupby("First name")["Total time in seconds"].sum() / 60
    for name, value in minutes.items():
        print(f"{name}: {value:.0f} minutes")
    print(f"pandas {pandas.__version__}: {len(log)} rows, equal to the CSV")


if __name__ == "__main__":
    main()

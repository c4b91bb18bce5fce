"""Reads the log with pandas: the minutes of each person, and a check against the CSV.

    python pandas_report.py FOLDER
"""

import sys
from pathlib import Path

import pandas

from rollbook_files import save


def main():
    folder = Path(sys.argv[1])
    log = pandas.read_parquet(save("/v1/activities/export.parquet", folder / "log.parquet", columns="full"))
    csv = pandas.read_csv(
        save("/v1/activities/export.csv", folder / "log.csv", columns="full", raw="true"), dtype=str, keep_default_na=False
    )
    assert list(log.columns) == list(csv.columns)
    assert len(log) == len(csv)
    assert str(log["Happened at"].dtype).endswith(", UTC]"), log["Happened at"].dtype
    assert log["Score"].dtype == "float64", log["Score"].dtype
    assert (log["Activity ID"] == csv["Activity ID"]).all()
    times = pandas.to_datetime(csv["Happened at"], format="ISO8601", utc=True)
    assert (log["Happened at"].dt.floor("ms") == times).all()
    tags = log["Tags"].map(lambda tags: "" if tags is None else "; ".join(tags))
    assert (tags == csv["Tags"]).all()
    assert (pandas.to_numeric(csv["Score"]).fillna(-1) == log["Score"].fillna(-1)).all()

    minutes = log.groupby("First name")["Total time in seconds"].sum() / 60
    for name, value in minutes.items():
        print(f"{name}: {value:.0f} minutes")
    print(f"pandas {pandas.__version__}: {len(log)} rows, equal to the CSV")


if __name__ == "__main__":
    main()

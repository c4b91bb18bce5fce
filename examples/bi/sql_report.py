"""Reads the SQL views with SQLAlchemy, as Superset does, and with pandas: the states of each content, and the completions of
a month. Checks the views against the CSV.

    python sql_report.py postgresql+psycopg2://bi_acme:PASSWORD@HOST/DATABASE FOLDER
    python sql_report.py "sqlite:///file:rollbook.db?mode=ro&uri=true" FOLDER
"""

import sys
from datetime import datetime, timezone
from pathlib import Path

import pandas
import sqlalchemy
from sqlalchemy import func, select

from rollbook_files import save

VIEWS = ["activity_log", "activity_log_with_deactivated", "contents", "progress", "user_fields", "users"]


def find_views(engine):
    """The views by their names. A role of PostgreSQL sees one schema, and SQLite has names that begin with `bi_`."""
    inspector = sqlalchemy.inspect(engine)
    is_sqlite = engine.dialect.name == "sqlite"
    schema = None if is_sqlite else inspector.default_schema_name
    prefix = "bi_" if is_sqlite else ""
    names = sorted(inspector.get_view_names(schema=schema))
    assert names == [prefix + name for name in VIEWS], names
    assert is_sqlite or schema.startswith("rollbook_"), schema
    metadata = sqlalchemy.MetaData()
    return {
        name: sqlalchemy.Table(prefix + name, metadata, autoload_with=engine, schema=schema) for name in VIEWS
    }


def main():
    engine = sqlalchemy.create_engine(sys.argv[1])
    folder = Path(sys.argv[2])
    views = find_views(engine)
    log, progress = views["activity_log"].c, views["progress"].c
    csv = pandas.read_csv(
        save("/v1/activities/export.csv", folder / "log.csv", columns="full", raw="true"), dtype=str, keep_default_na=False
    )
    is_sqlite = engine.dialect.name == "sqlite"
    begin, end = datetime(2026, 2, 1, tzinfo=timezone.utc), datetime(2026, 3, 1, tzinfo=timezone.utc)
    if is_sqlite:
        begin, end = (time.strftime("%Y-%m-%dT%H:%M:%S.000Z") for time in (begin, end))
    with engine.connect() as connection:
        states = select(progress.title, progress.state, func.count()).group_by(progress.title, progress.state)
        for title, state, people in connection.execute(states.order_by(progress.title, progress.state)):
            print(f"{title}: {people} {state}")
        in_month = (log.happened_at >= begin) & (log.happened_at < end) & log.completed
        completions = connection.execute(select(func.count()).where(in_month)).scalar_one()
        print(f"2026-02: {completions} completed")
        expected = csv[csv["Happened at"].str.startswith("2026-02") & (csv["Completed"] == "Yes")]
        assert completions == len(expected), (completions, len(expected))
        frame = pandas.read_sql(select(views["activity_log"]), connection)
    frame = frame.assign(activity_id=frame["activity_id"].astype(str)).set_index("activity_id")
    csv = csv.set_index("Activity ID")
    assert set(frame.index) == set(csv.index)
    csv = csv.loc[frame.index]
    times = pandas.to_datetime(frame["happened_at"], utc=True, format=None if not is_sqlite else "ISO8601")
    assert (times.dt.floor("ms") == pandas.to_datetime(csv["Happened at"], utc=True, format="ISO8601")).all()
    headings = {
        "user_id": "User ID", "title": "Title", "action": "Action", "email": "Email address", "type": "Type",
        "content_type": "Content Type", "verb": "Verb", "result": "E-learning / Quiz result", "identifier": "Identifier",
        "manager": "Manager name", "primary_team": "Primary team", "job_title": "Job title", "source": "Source",
    }
    for column, heading in headings.items():
        different = frame[column].fillna("") != csv[heading]
        assert not different.any(), (column, frame[column][different].head(), csv[heading][different].head())
    scores = pandas.to_numeric(csv["Score"].str.rstrip("%")).fillna(-1)
    assert (frame["score_percent"].astype(float).fillna(-1) == scores).all()
    print(f"SQLAlchemy {sqlalchemy.__version__}, {engine.dialect.name}: {len(frame)} rows, equal to the CSV")


if __name__ == "__main__":
    main()

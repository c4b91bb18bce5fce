"""Reads the log with DuckDB: completions and mean score of each content and month, and a check against the CSV.

    python duckdb_report.py FOLDER
"""

import sys
from pathlib import Path

import duckdb

from rollbook_files import save

# The columns that are no texts, with their types in DuckDB.
TYPES = {
    "Join date": "DATE",
    "Deactivated": "TIMESTAMP WITH TIME ZONE",
    "Happened at": "TIMESTAMP WITH TIME ZONE",
    "Expired at": "TIMESTAMP WITH TIME ZONE",
    "Certificate expires at": "TIMESTAMP WITH TIME ZONE",
    "Stored at": "TIMESTAMP WITH TIME ZONE",
    "Completed": "BOOLEAN",
    "Archived": "BOOLEAN",
    "Time limit exceeded": "BOOLEAN",
    "Total time in seconds": "BIGINT",
    "E-learning / Quiz score": "DOUBLE",
    "Score": "DOUBLE",
    "Secondary teams": "VARCHAR[]",
    "Tags": "VARCHAR[]",
    "CPD labels": "VARCHAR[]",
    "Team IDs": "VARCHAR[]",
}

REPORT = """
    SELECT "Title", date_trunc('month', "Happened at") AS month, count(*) AS completions, round(avg("Score"), 1) AS mean_score
    FROM log WHERE "Completed" GROUP BY ALL ORDER BY ALL
"""


def main():
    folder = Path(sys.argv[1])
    parquet = save("/v1/activities/export.parquet", folder / "log.parquet", columns="full")
    csv = save("/v1/activities/export.csv", folder / "log.csv", columns="full", raw="true")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW log AS SELECT * FROM read_parquet('{parquet}')")
    connection.execute(f"CREATE VIEW csv AS SELECT * FROM read_csv('{csv}', all_varchar = true, header = true)")

    columns = connection.execute("DESCRIBE log").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    assert types == {name: TYPES.get(name, "VARCHAR") for name in types}, types
    assert list(types) == [name for name, *_ in connection.execute("DESCRIBE csv").fetchall()]

    rows = connection.execute("SELECT count(*) FROM log").fetchone()[0]
    assert rows == connection.execute("SELECT count(*) FROM csv").fetchone()[0]
    differences = connection.execute("""
        SELECT count(*) FROM log JOIN csv USING ("Activity ID")
        WHERE date_trunc('millisecond', log."Happened at") IS DISTINCT FROM csv."Happened at"::TIMESTAMPTZ
           OR log."Completed" IS DISTINCT FROM (csv."Completed" = 'Yes')
           OR log."Score" IS DISTINCT FROM csv."Score"::DOUBLE
           OR coalesce(array_to_string(log."Tags", '; '), '') <> coalesce(csv."Tags", '')
    """).fetchone()[0]
    assert differences == 0, f"{differences} rows differ from the CSV"

    for title, month, completions, score in connection.execute(REPORT).fetchall():
        print(f"{title}, {month:%Y-%m}: {completions} completed, mean score {score}")
    print(f"duckdb {duckdb.__version__}: {rows} rows, equal to the CSV")


if __name__ == "__main__":
    main()

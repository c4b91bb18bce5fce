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

# What a cell of the CSV has for a value of each type. The CSV has milliseconds, the Parquet file has microseconds.
CELLS = {
    "TIMESTAMP WITH TIME ZONE": "strftime(log.{column}, '%Y-%m-%dT%H:%M:%S.%gZ')",
    "BOOLEAN": "CASE WHEN log.{column} THEN 'Yes' WHEN NOT log.{column} THEN 'No' END",
    "VARCHAR[]": "array_to_string(log.{column}, '; ')",
    "DOUBLE": "log.{column}",
}

REPORT = """
    SELECT "Title", date_trunc('month', "Happened at") AS month, count(*) AS completions, round(avg("Score"), 1) AS mean_score
    FROM log WHERE "Completed" GROUP BY ALL ORDER BY ALL
"""


def number_of_differences(connection, heading, kind):
    """The number of rows of which the CSV has another cell in this column."""
    column = '"' + heading.replace('"', '""') + '"'
    value = CELLS.get(kind, "log.{column}::VARCHAR").format(column=column)
    cell = f"nullif(csv.{column}, '')"
    if kind == "DOUBLE":
        cell = f"rtrim({cell}, '%')::DOUBLE"
    else:
        value = f"nullif({value}, '')"
    query = f'SELECT count(*) FROM log JOIN csv USING ("Activity ID") WHERE {value} IS DISTINCT FROM {cell}'
    return connection.execute(query).fetchone()[0]


def compare(connection, folder, **parameters):
    """Compares the Parquet file with the CSV of the same request, and returns the number of rows."""
    parquet = save("/v1/activities/export.parquet", folder / "log.parquet", columns="full", **parameters)
    csv = save("/v1/activities/export.csv", folder / "log.csv", columns="full", raw="true", **parameters)
    connection.execute(f"CREATE OR REPLACE VIEW log AS SELECT * FROM read_parquet('{parquet}')")
    connection.execute(
        f"CREATE OR REPLACE VIEW csv AS SELECT * FROM "
        f"read_csv('{csv}', all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"', null_padding = false)"
    )
    columns = connection.execute("DESCRIBE log").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    assert types == {name: TYPES.get(name, "VARCHAR") for name in types}, types
    assert list(types) == [name for name, *_ in connection.execute("DESCRIBE csv").fetchall()]
    rows = connection.execute("SELECT count(*) FROM log").fetchone()[0]
    assert rows == connection.execute("SELECT count(*) FROM csv").fetchone()[0]
    for heading, kind in types.items():
        differences = number_of_differences(connection, heading, kind)
        assert differences == 0, f"{heading}: {differences} rows differ from the CSV"
    return rows


def main():
    folder = Path(sys.argv[1])
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    empty = compare(connection, folder, **{"from": "1999-01-01", "to": "1999-01-02"})
    assert empty == 0, empty
    rows = compare(connection, folder)
    for title, month, completions, score in connection.execute(REPORT).fetchall():
        print(f"{title}, {month:%Y-%m}: {completions} completed, mean score {score}")
    print(f"duckdb {duckdb.__version__}: {rows} rows, equal to the CSV")


if __name__ == "__main__":
    main()

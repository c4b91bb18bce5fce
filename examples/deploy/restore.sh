#!/usr/bin/env bash
# Restores a copy of backup.sh into a database that is empty, or that does not exist.
#
#   ROLLBOOK_DATABASE=sqlite:/var/lib/rollbook/rollbook.db examples/deploy/restore.sh /backup/rollbook-2026-11-28.db
#   ROLLBOOK_DATABASE=postgres://rollbook:…@db/rollbook     examples/deploy/restore.sh /backup/rollbook-2026-11-28.dump
#
# It needs postgres-address.sh beside it. Stop the server first. Start it with `rollbook migrate` where the copy comes from an earlier version.
set -euo pipefail
umask 077
source "$(dirname "$0")/postgres-address.sh"

database=${ROLLBOOK_DATABASE:?set it to the address of the database}
source=${1:?name the file of the copy}
[[ -f $source ]] || { echo "$source does not exist" >&2; exit 1; }

case $database in
  sqlite:*)
    file=${database#sqlite:}
    # The log of another database would be replayed into the copy.
    for existing in "$file" "$file-wal" "$file-shm"; do
      [[ ! -e $existing ]] || { echo "$existing exists: move it away first" >&2; exit 1; }
    done
    cp "$source" "$file.part"
    [[ $(sqlite3 "$file.part" 'PRAGMA integrity_check') == ok ]] || { echo "$source is damaged" >&2; rm -f "$file.part"; exit 1; }
    sync "$file.part"
    mv "$file.part" "$file"
    ;;
  postgres://* | postgresql://*)
    hide_password
    tables=$(psql "$database" -XAtc "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
    [[ $tables == 0 ]] || { echo "the database has tables already: create an empty one" >&2; exit 1; }
    # All or nothing.
    pg_restore --single-transaction --exit-on-error --no-owner --no-privileges --dbname="$database" "$source"
    # Without statistics, the first queries are slow.
    psql "$database" -Xqc 'ANALYZE'
    ;;
  *)
    echo "ROLLBOOK_DATABASE must begin with sqlite: or postgres://" >&2
    exit 1
    ;;
esac
echo "restored; start the server"

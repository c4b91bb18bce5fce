#!/usr/bin/env bash
# Copies the database of a running Rollbook server to a file.
#
#   ROLLBOOK_DATABASE=sqlite:/var/lib/rollbook/rollbook.db examples/deploy/backup.sh /backup/rollbook-$(date +%F).db
#   ROLLBOOK_DATABASE=postgres://rollbook:…@db/rollbook     examples/deploy/backup.sh /backup/rollbook-$(date +%F).dump
#
# The copy has the state of one moment, and everything that was acknowledged before the command began. The server goes on.
# It needs postgres-address.sh beside it, and `sqlite3`, or `pg_dump` of at least the version of the server. The file can be read by its owner only.
set -euo pipefail
umask 077
source "$(dirname "$0")/postgres-address.sh"

database=${ROLLBOOK_DATABASE:?set it to the address of the database}
target=${1:?name the file of the copy}
[[ ! -e $target ]] || { echo "$target exists already: name another file" >&2; exit 1; }
# A file that ends with `.part` is no copy yet.
part=$target.part
trap 'rm -f "$part"' EXIT

case $database in
  sqlite:*)
    file=${database#sqlite:}
    [[ -f $file ]] || { echo "$file does not exist" >&2; exit 1; }
    # `.backup` reads the log (-wal) as well, and waits where the server writes.
    sqlite3 -cmd '.timeout 60000' "$file" ".backup '${part//\'/\'\'}'"
    # A copy that cannot be restored is none.
    [[ $(sqlite3 "$part" 'PRAGMA integrity_check') == ok ]] || { echo "the copy is damaged" >&2; exit 1; }
    # Without a log of its own, the copy is one file.
    sqlite3 "$part" 'PRAGMA journal_mode = DELETE' >/dev/null
    ;;
  postgres://* | postgresql://*)
    hide_password
    pg_dump --format=custom --no-owner --no-privileges --file="$part" "$database"
    pg_restore --list "$part" >/dev/null
    ;;
  *)
    echo "ROLLBOOK_DATABASE must begin with sqlite: or postgres://" >&2
    exit 1
    ;;
esac
sync "$part"
mv "$part" "$target"
echo "$target: $(stat -c %s "$target") bytes"

#!/usr/bin/env bash
# Runs published xAPI clients, unmodified, against Rollbook.
#
#   examples/clients/run.sh                  starts a server of its own, on SQLite in a temporary folder
#   scripts/with-postgres examples/clients/run.sh
#                                            the same on PostgreSQL
#   ROLLBOOK_CLIENT_URL=http://… ROLLBOOK_CLIENT_CREDENTIAL=key:secret examples/clients/run.sh
#                                            uses a running server; the credential needs the scope `all`
#
# Needs Node.js 20 with npm, Python 3.9 with venv and pip, a network, and cargo or ROLLBOOK_CLIENT_BINARY, the path of a
# built `rollbook`. The clients are installed into a temporary folder, which is removed afterwards;
# ROLLBOOK_CLIENT_FOLDER names a folder that stays.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
server=''
temporary=$(mktemp -d)
clean_up() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$temporary"
}
trap clean_up EXIT
folder=${ROLLBOOK_CLIENT_FOLDER:-$temporary/clients}
mkdir -p "$folder"

# --- A server ----------------------------------------------------------------------------------------------

if [[ -z ${ROLLBOOK_CLIENT_URL:-} ]]; then
  if [[ -z ${ROLLBOOK_CLIENT_BINARY:-} ]]; then
    (cd "$here/../.." && cargo build --quiet)
    ROLLBOOK_CLIENT_BINARY=$here/../../target/debug/rollbook
  fi
  export ROLLBOOK_DATABASE=${ROLLBOOK_TEST_POSTGRES:-sqlite:$temporary/rollbook.db}
  export ROLLBOOK_JWT_SECRET="a secret for these clients alone, $RANDOM$RANDOM$RANDOM"
  port=$((20000 + RANDOM % 12000))
  export ROLLBOOK_CLIENT_URL=http://127.0.0.1:$port
  "$ROLLBOOK_CLIENT_BINARY" serve --migrate --listen "127.0.0.1:$port" >"$temporary/server.log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    if curl -sf "$ROLLBOOK_CLIENT_URL/health/ready" >/dev/null; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$temporary/server.log" >&2; exit 1; }
    sleep 0.1
  done
  token=$("$ROLLBOOK_CLIENT_BINARY" token --org clients --user root --role admin)
  created=$(curl -sS --fail-with-body -X POST "$ROLLBOOK_CLIENT_URL/v1/credentials" -H "Authorization: Bearer $token" \
    -H 'Content-Type: application/json' -d '{"name": "clients", "scopes": ["all"]}')
  member() { sed -E "s/.*\"$1\": ?\"([^\"]*)\".*/\1/" <<<"$created"; }
  ROLLBOOK_CLIENT_CREDENTIAL=$(member key):$(member secret)
  export ROLLBOOK_CLIENT_CREDENTIAL
fi
echo "server: $ROLLBOOK_CLIENT_URL"

# --- The clients -------------------------------------------------------------------------------------------

cp "$here"/package.json "$here"/*.mjs "$folder"
npm install --prefix "$folder" --no-package-lock --no-audit --no-fund --silent
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"

status=0
for client in xapi-js.mjs tincan-js.mjs; do
  echo "$client:"
  node "$folder/$client" || status=1
done
echo "tincan_py.py:"
"$folder/venv/bin/python" -B "$here/tincan_py.py" || status=1
if [[ $status != 0 && -n $server ]]; then
  echo "the server's log:" >&2
  grep -E 'WARN|ERROR' "$temporary/server.log" >&2 || true
fi
exit $status

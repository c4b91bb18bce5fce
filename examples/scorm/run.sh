#!/usr/bin/env bash
# Plays SCORM sessions with the player scorm-again, as published on npm, against Rollbook: under Node, and with a page in
# headless Chromium if it is installed.
#
#   examples/scorm/run.sh                    starts a server of its own, on SQLite in a temporary folder
#   scripts/with-postgres examples/scorm/run.sh
#                                            the same on PostgreSQL; ROLLBOOK_CLIENT_DATABASE names another database
#
# Needs Node.js 20 with npm, a network, and cargo or ROLLBOOK_CLIENT_BINARY, the path of a built `rollbook`. The player is
# installed into a temporary folder, which is removed afterwards; ROLLBOOK_CLIENT_FOLDER names a folder that stays.
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
folder=${ROLLBOOK_CLIENT_FOLDER:-$temporary/scorm}
mkdir -p "$folder"
cp "$here"/package.json "$here"/*.mjs "$here"/*.html "$folder"
npm install --prefix "$folder" --no-package-lock --no-audit --no-fund --silent

if [[ -z ${ROLLBOOK_CLIENT_BINARY:-} ]]; then
  (cd "$here/../.." && cargo build --quiet)
  ROLLBOOK_CLIENT_BINARY=$here/../../target/debug/rollbook
fi
export ROLLBOOK_DATABASE=${ROLLBOOK_CLIENT_DATABASE:-${ROLLBOOK_TEST_POSTGRES:-sqlite:$temporary/rollbook.db}}
export ROLLBOOK_JWT_SECRET="a secret for these sessions alone, $RANDOM$RANDOM$RANDOM"
port=$((20000 + RANDOM % 12000))
export ROLLBOOK_CLIENT_URL=http://127.0.0.1:$port
export ROLLBOOK_CLIENT_PAGE_PORT=$((port + 1))
ROLLBOOK_CORS_ORIGINS=http://127.0.0.1:$ROLLBOOK_CLIENT_PAGE_PORT "$ROLLBOOK_CLIENT_BINARY" serve --migrate \
  --listen "127.0.0.1:$port" >"$temporary/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  if curl -sf "$ROLLBOOK_CLIENT_URL/health/ready" >/dev/null; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$temporary/server.log" >&2; exit 1; }
  sleep 0.1
done
token() { "$ROLLBOOK_CLIENT_BINARY" token --org scorm --user "$1" --role "$2"; }
ROLLBOOK_CLIENT_ADMIN_TOKEN=$(token root admin)
ROLLBOOK_CLIENT_LEARNER_TOKEN=$(token bo learner)
export ROLLBOOK_CLIENT_ADMIN_TOKEN ROLLBOOK_CLIENT_LEARNER_TOKEN
# A launch is for a user of the directory.
curl -sS --fail-with-body -o /dev/null -X PUT "$ROLLBOOK_CLIENT_URL/v1/users/bo" -H "Authorization: Bearer $ROLLBOOK_CLIENT_ADMIN_TOKEN" \
  -H 'Content-Type: application/json' -d '{"id": "bo", "first_name": "Bo", "last_name": "Ek"}'

status=0
node "$folder/sessions.mjs" || status=1
if [[ -n ${CHROMIUM:=$(command -v chromium || command -v chromium-browser || true)} ]]; then
  export CHROMIUM
  node "$folder/page.mjs" || status=1
else
  echo "skipped: the page needs chromium, which is not installed"
fi
if [[ $status != 0 ]]; then
  echo "the server's log:" >&2
  grep -E 'WARN|ERROR' "$temporary/server.log" >&2 || true
fi
exit $status

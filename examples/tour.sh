#!/usr/bin/env bash
# A tour of Rollbook with curl: from nothing to a manager's CSV.
#
#   examples/tour.sh                     starts a server of its own, on SQLite in a temporary folder
#   ROLLBOOK_CLIENT_URL=http://… ROLLBOOK_JWT_SECRET=… examples/tour.sh
#                                        uses a running server; the secret is the one with which it verifies tokens
#
# Every request is printed before its answer. Needs curl, and cargo or ROLLBOOK_CLIENT_BINARY, the path of a
# built `rollbook`.
set -euo pipefail

organisation=tour
if [[ -n ${ROLLBOOK_CLIENT_BINARY:-} ]]; then
  rollbook() { "$ROLLBOOK_CLIENT_BINARY" "$@"; }
else
  cd "$(dirname "$0")/.."
  cargo build --quiet
  ROLLBOOK_CLIENT_BINARY=$PWD/target/debug/rollbook
  rollbook() { "$ROLLBOOK_CLIENT_BINARY" "$@"; }
fi

# --- A server ----------------------------------------------------------------------------------------------

url=${ROLLBOOK_CLIENT_URL:-}
if [[ -z $url ]]; then
  folder=$(mktemp -d)
  export ROLLBOOK_JWT_SECRET="a secret for this tour alone, $RANDOM$RANDOM$RANDOM"
  port=$((20000 + RANDOM % 12000))
  url=http://127.0.0.1:$port
  "$ROLLBOOK_CLIENT_BINARY" serve --listen "127.0.0.1:$port" --database "sqlite:$folder/rollbook.db" \
    >"$folder/server.log" 2>&1 &
  server=$!
  trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$folder"' EXIT
  for _ in $(seq 100); do
    if curl -sf "$url/health/ready" >/dev/null; then break; fi
    kill -0 $server 2>/dev/null || { cat "$folder/server.log" >&2; exit 1; }
    sleep 0.1
  done
fi

say() { printf '\n# %s\n' "$*"; }

# Prints a request and its answer; ends the tour when the server refuses it.
#   ask TOKEN METHOD PATH [JSON]
ask() {
  local token=$1 method=$2 path=$3 body=${4:-}
  local arguments=(-sS --fail-with-body -X "$method" "$url$path" -H "Authorization: Bearer $token")
  if [[ -n $body ]]; then
    arguments+=(-H 'Content-Type: application/json' -d "$body")
  fi
  printf '$ curl -X %s %s%s\n' "$method" "'$path'" "${body:+ -d '$body'}"
  curl "${arguments[@]}"
  printf '\n'
}

# --- Tokens ------------------------------------------------------------------------------------------------

say 'A platform signs a token for each of its users. For trying things, a command makes one.'
echo "\$ rollbook token --org $organisation --user ada --role admin"
ada=$(rollbook token --org "$organisation" --user ada --role admin)
mia=$(rollbook token --org "$organisation" --user mia --role manager)

# --- People and contents -----------------------------------------------------------------------------------

say 'An admin adds users: Mia manages Bo; Cy is in another team.'
ask "$ada" POST /v1/teams/batch '[{"id": "sales", "name": "Sales"}, {"id": "support", "name": "Support"}]'
ask "$ada" POST /v1/users/batch '[
  {"id": "ada", "first_name": "Ada", "last_name": "Obi", "email": "ada@example.com", "role": "admin"},
  {"id": "mia", "first_name": "Mia", "last_name": "Lund", "email": "mia@example.com", "role": "manager",
   "primary_team": "sales", "teams": ["sales"]},
  {"id": "bo", "first_name": "Bo", "last_name": "Ek", "email": "bo@example.com", "manager": "mia",
   "primary_team": "sales", "teams": ["sales"]},
  {"id": "cy", "first_name": "Cy", "last_name": "Dahl", "email": "cy@example.com",
   "primary_team": "support", "teams": ["support"]}]'

say 'The admin adds a content: a quiz with a pass mark, and a certificate that is valid for a year.'
ask "$ada" PUT /v1/contents/forklift-quiz '{
  "id": "forklift-quiz", "iri": "https://learn.example.com/quizzes/forklift", "title": "Forklift Quiz",
  "type": "quiz", "pass_mark": 80, "tags": ["safety"],
  "certificate": {"name": "Forklift licence", "expires_after": "P1Y"}}'

# --- Records, through two APIs -----------------------------------------------------------------------------

say 'Activities in the short form: Bo fails, Cy passes.'
ask "$ada" POST /v1/activities/batch '[
  {"user": "bo", "action": "logged_in", "happened_at": "2026-01-12T08:00:00Z"},
  {"user": "bo", "action": "completed", "content": "forklift-quiz", "happened_at": "2026-01-12T08:20:00Z",
   "result": {"score": 45, "total_time": "PT5M"}},
  {"user": "cy", "action": "completed", "content": "forklift-quiz", "happened_at": "2026-01-12T09:00:00Z",
   "result": {"score": 95, "total_time": "PT4M"}}]'

say 'xAPI statements from any content reach the same log. Bo tries again and passes.'
statement='{
  "actor": {"name": "Bo", "mbox": "mailto:bo@example.com"},
  "verb": {"id": "http://adlnet.gov/expapi/verbs/passed", "display": {"en": "passed"}},
  "object": {"id": "https://learn.example.com/quizzes/forklift"},
  "result": {"score": {"scaled": 0.92}, "duration": "PT6M40S"},
  "timestamp": "2026-01-13T10:00:00Z"}'
credential=$(curl -sS --fail-with-body -X POST "$url/v1/credentials" -H "Authorization: Bearer $ada" \
  -H 'Content-Type: application/json' -d '{"name": "player", "scopes": ["statements/write"]}')
member() { sed -E "s/.*\"$1\": ?\"([^\"]*)\".*/\1/" <<<"$credential"; }
printf "\$ curl -X POST '/xapi/statements' -u KEY:SECRET -H 'X-Experience-API-Version: 1.0.3' -d '%s'\n" "$statement"
curl -sS --fail-with-body -X POST "$url/xapi/statements" -u "$(member key):$(member secret)" \
  -H 'X-Experience-API-Version: 1.0.3' -H 'Content-Type: application/json' -d "$statement"
printf '\n'

# --- Reading the log ---------------------------------------------------------------------------------------

say 'Ada sees the whole organisation. This request reads the failed activities.'
ask "$ada" GET '/v1/activities?action=failed&count=exact'

say 'Mia sees herself and her reports: Bo, and not Cy. This request reads the passed quizzes.'
ask "$mia" GET '/v1/activities?content=forklift-quiz&result=passed&count=exact'

say "The activities of the manager's reports as a CSV."
ask "$mia" GET '/v1/activities/export.csv?scope=managed'

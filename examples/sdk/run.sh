#!/usr/bin/env bash
# Generates clients from the OpenAPI document, compiles them, and runs a program on each against a server.
#
#   examples/sdk/run.sh                      all clients, with a server of its own on SQLite in a temporary folder
#   examples/sdk/run.sh typescript rust      these clients
#   scripts/with-postgres examples/sdk/run.sh
#                                            the same on PostgreSQL; ROLLBOOK_CLIENT_DATABASE names another database
#
# A client whose tools are missing is skipped with a word: typescript needs Node.js 20 with npm, python needs python3 with venv,
# pydantic also a Java runtime, java python3 and a JDK, rust cargo. The tools of the registries and the compiled clients stay in a
# folder, target/sdk or ROLLBOOK_CLIENT_FOLDER. They are made again when the document or a program is another one.
#
# With python3, the clients reach the server below a path, through a proxy, as ROLLBOOK_PUBLIC_URL says.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${ROLLBOOK_CLIENT_FOLDER:-$root/target/sdk}
mkdir -p "$folder"
# Two runs at a time would write the same files.
exec 9>"$folder/lock"
flock 9

processes=()
temporary=$(mktemp -d)
clean_up() {
  for process in "${processes[@]}"; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$temporary"
}
trap clean_up EXIT

if [[ -z ${ROLLBOOK_CLIENT_BINARY:-} ]]; then
  (cd "$root" && cargo build --quiet)
  ROLLBOOK_CLIENT_BINARY=$root/target/debug/rollbook
fi

has() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || return 1
  done
}

# Installs the Python packages, among them the generators of Python and Java.
install_python() {
  cmp -s "$here/python/requirements.txt" "$folder/venv/requirements.txt" && return
  rm -rf "$folder/venv"
  python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" install --quiet --requirement "$here/python/requirements.txt" &&
    cp "$here/python/requirements.txt" "$folder/venv/"
}

# Each function installs, generates and compiles one client in the folder of its name. 3 means that a tool cannot be had.
build_typescript() {
  has node npm || return 3
  cp "$here"/typescript/* "$folder/openapi.json" .
  [[ -d node_modules ]] || npm install --no-package-lock --no-audit --no-fund --silent || return 3
  rm -rf generated out
  npx openapi-typescript openapi.json --output generated/fetch.ts && npx openapi-ts && npx tsc
}
build_python() {
  has python3 || return 3
  install_python || return 3
  cp "$here"/python/* .
  rm -rf generated && mkdir generated
  "$folder/venv/bin/openapi-python-client" generate --path "$folder/openapi.json" --meta none \
    --output-path generated/rollbook_client && python3 -m compileall -q generated
}
build_pydantic() {
  has python3 java || return 3
  install_python || return 3
  cp "$here"/pydantic/* .
  rm -rf generated
  generate python --additional-properties packageName=rollbook_pydantic && python3 -m compileall -q generated
}
build_java() {
  has python3 java javac || return 3
  install_python || return 3
  rm -rf generated out
  # A parameter `wait` of a request object would be a method that each object has. Empty arrays would make statements invalid: an
  # Agent has no `member`. The packages of the generator are those that a
  # client needs, too: Jackson with its module for times.
  generate java --library native --parameter-name-mappings wait=waitSeconds \
    --additional-properties openApiNullable=false,containerDefaultToNull=true,annotationLibrary=none,documentationProvider=none,useSingleRequestParameter=true \
    --additional-properties invokerPackage=org.rollbook,apiPackage=org.rollbook.api,modelPackage=org.rollbook.model &&
    find generated/src/main "$here/java" -name '*.java' >sources &&
    javac -nowarn -proc:none -d out -cp "$(jar)" @sources
}
# progenitor generates the client when it compiles. Its packages stay compiled.
build_rust() {
  has cargo || return 3
  cp -r "$here"/rust/* "$folder/openapi-3.0.json" .
  cargo fetch --quiet || return 3
  CARGO_TARGET_DIR=$folder/rust/target cargo build --quiet --offline
}
# Generates a client with openapi-generator.
generate() {
  java -jar "$(jar)" generate -i "$folder/openapi.json" -o generated -g "$@" \
    --global-property apiTests=false,modelTests=false,apiDocs=false,modelDocs=false
}
jar() { find "$folder/venv" -name openapi-generator.jar; }

run_typescript() { node out/fetch.js && node out/hey.js; }
run_python() { "$folder/venv/bin/python" client.py; }
run_pydantic() { "$folder/venv/bin/python" client.py; }
run_rust() { target/debug/rollbook-sdk-example; }
run_java() { java -cp "out:$(jar)" Journey; }

export ROLLBOOK_DATABASE=${ROLLBOOK_CLIENT_DATABASE:-${ROLLBOOK_TEST_POSTGRES:-sqlite:$temporary/rollbook.db}}
export ROLLBOOK_JWT_SECRET="a secret for these programs alone, $RANDOM$RANDOM$RANDOM"
port=$((20000 + RANDOM % 12000))
server_port=$port
export ROLLBOOK_CLIENT_URL=http://127.0.0.1:$port
if has python3; then
  server_port=$((port + 1))
  ROLLBOOK_CLIENT_URL+=/lms/rollbook
  python3 "$here/prefix_proxy.py" "$port" /lms/rollbook "$server_port" 9>&- &
  processes+=($!)
fi
(
  cd "$temporary"
  exec env ROLLBOOK_PUBLIC_URL="$ROLLBOOK_CLIENT_URL" "$ROLLBOOK_CLIENT_BINARY" serve --migrate \
    --listen "127.0.0.1:$server_port" >"$temporary/server.log" 2>&1 9>&-
) &
server=$!
processes+=("$server")
for _ in $(seq 200); do
  if curl -sf "$ROLLBOOK_CLIENT_URL/health/ready" >/dev/null; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$temporary/server.log" >&2; exit 1; }
  sleep 0.1
done
for document in openapi.json openapi-3.0.json; do
  curl -sf "$ROLLBOOK_CLIENT_URL/$document" >"$temporary/$document"
  # A new time would make cargo compile the client again.
  cmp -s "$temporary/$document" "$folder/$document" || cp "$temporary/$document" "$folder/"
done
ROLLBOOK_CLIENT_TOKEN=$("$ROLLBOOK_CLIENT_BINARY" token --org sdk --user root --role admin)
export ROLLBOOK_CLIENT_TOKEN

status=0
for name in ${*:-typescript python pydantic java rust}; do
  mkdir -p "$folder/$name"
  cd "$folder/$name"
  wanted=$(cat "$folder"/openapi*.json "$here/run.sh" $(find "$here/$name" -type f | sort) | sha256sum)
  built=0
  if [[ $wanted != "$(cat built 2>/dev/null)" ]]; then
    rm -f built
    "build_$name" >build.log 2>&1 || built=$?
    [[ $built == 0 ]] && echo "$wanted" >built
  fi
  if [[ $built == 3 ]]; then
    echo "$name: skipped, its tools are missing or cannot be installed"
  elif [[ $built != 0 ]]; then
    echo "$name: the client does not compile"
    tail -n 40 build.log
    status=1
  else
    "run_$name" || { echo "$name: failed"; status=1; }
  fi
done
if [[ $status != 0 ]]; then
  grep -E 'WARN|ERROR' "$temporary/server.log" >&2 || true
fi
exit $status

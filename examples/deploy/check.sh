#!/usr/bin/env bash
# Checks the files of this folder, as far as the programs are installed: nginx in front of a server, the unit of systemd, the
# manifest of Kubernetes.
#
#   ROLLBOOK_CLIENT_URL      a running server that trusts 127.0.0.1 as a proxy, http://127.0.0.1:8080
#   ROLLBOOK_CLIENT_TOKEN    a token of an administrator
#   ROLLBOOK_CLIENT_BINARY   the path of `rollbook`
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
temporary=$(mktemp -d)
nginx=''
clean_up() {
  if [[ -n $nginx ]]; then
    kill "$nginx" 2>/dev/null || true
    wait "$nginx" 2>/dev/null || true
  fi
  rm -rf "$temporary"
}
trap clean_up EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $* is not installed"; }
has() { command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]]; }
PATH=$PATH:/usr/sbin

# --- nginx -------------------------------------------------------------------------------------------------

start_nginx() {
  port=$((20000 + RANDOM % 12000))
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$temporary/key.pem" -out "$temporary/certificate.pem" 2>/dev/null
  # The file as it is, with the addresses and folders of this machine.
  sed -e "s|127.0.0.1:8080|${ROLLBOOK_CLIENT_URL#http://}|" -e "s|listen 443|listen 127.0.0.1:$port|" \
    -e "s|lrs.example.org;|localhost;|" -e "s|/etc/ssl/lrs.example.org.pem|$temporary/certificate.pem|" \
    -e "s|/etc/ssl/lrs.example.org.key|$temporary/key.pem|" -e "s|/var/log/nginx/|$temporary/|" \
    "$here/nginx.conf" >"$temporary/rollbook.conf"
  local folders=''
  for name in client_body proxy fastcgi uwsgi scgi; do folders+="${name}_temp_path $temporary/$name; "; done
  cat >"$temporary/nginx.conf" <<CONFIGURATION
daemon off;
pid $temporary/nginx.pid;
error_log $temporary/error.log;
events {}
http { $folders include $temporary/rollbook.conf; }
CONFIGURATION
  nginx -t -q -e "$temporary/error.log" -c "$temporary/nginx.conf" || fail "nginx refuses the configuration"
  nginx -e "$temporary/error.log" -c "$temporary/nginx.conf" &
  nginx=$!
  proxied=https://localhost:$port
  for _ in $(seq 50); do
    if request /health/live -o /dev/null 2>/dev/null; then return; fi
    sleep 0.1
  done
  cat "$temporary/error.log" >&2
  fail "nginx does not start"
}

# Sends a request through nginx. It fails on every status that is no success.
request() {
  local path=$1
  shift
  curl -sS --fail-with-body --cacert "$temporary/certificate.pem" --resolve "localhost:$port:127.0.0.1" \
    -H "Authorization: Bearer ${ROLLBOOK_CLIENT_TOKEN}" "$proxied$path" "$@"
}

check_nginx() {
  start_nginx
  request /v1/users/proxied -X PUT -H 'Content-Type: application/json' -o /dev/null \
    -d '{"id": "proxied", "first_name": "Prox", "last_name": "Ied"}'
  request /v1/activities -H 'Content-Type: application/json' -o /dev/null -d '{"user": "proxied", "action": "logged_in"}'
  request '/v1/activities/export.csv?user=proxied' >"$temporary/export.csv"
  grep -q Prox "$temporary/export.csv" || fail "the export has no row"

  # A long address, and a body of some megabytes.
  title=$(head -c 30000 /dev/zero | tr '\0' 'a')
  status=$(request "/v1/activities?user=proxied&cursor=$title" -o "$temporary/answer" -w '%{http_code}' 2>/dev/null || true)
  grep -q '"code"' "$temporary/answer" || fail "a long address does not reach the server: $status"
  head -c 5000000 /dev/urandom >"$temporary/document"
  request '/xapi/activities/profile?activityId=https://example.org/x&profileId=large' -X PUT --data-binary "@$temporary/document" \
    -H 'Content-Type: application/octet-stream' -H 'X-Experience-API-Version: 1.0.3' -H 'If-None-Match: *'
  request '/xapi/activities/profile?activityId=https://example.org/x&profileId=large' -H 'X-Experience-API-Version: 1.0.3' \
    | cmp - "$temporary/document" || fail "the document came back changed"

  # The live stream sends its first event at once: nothing holds it back.
  request /v1/activities/stream -N --max-time 3 -o "$temporary/events" 2>/dev/null || true
  grep -q '^event: ready' "$temporary/events" || fail "the stream is held back"

  if request /metrics -o /dev/null 2>/dev/null; then fail "/metrics can be read through the proxy"; fi
  # A request that cannot be passed on is an error with its path.
  sed -i -e "s|server ${ROLLBOOK_CLIENT_URL#http://};|server 127.0.0.1:1;|" "$temporary/rollbook.conf"
  nginx -s reload -e "$temporary/error.log" -c "$temporary/nginx.conf" 2>/dev/null
  for _ in $(seq 50); do
    status=$(request '/v1/users?q=proxied' -o /dev/null -w '%{http_code}' 2>/dev/null || true)
    [[ $status != 502 ]] || break
    sleep 0.1
  done
  [[ $status == 502 ]] || fail "nginx passes requests on to nothing: $status"
  if grep -q -e proxied -e Prox "$temporary"/*.log; then fail "a log of nginx has queries or paths"; fi
  echo "nginx: requests, a large document, an export and the live stream pass"
}

if has nginx; then check_nginx; else skip nginx; fi

# --- systemd -----------------------------------------------------------------------------------------------

if has systemd-analyze; then
  sed -e "s|/usr/local/bin/rollbook|$ROLLBOOK_CLIENT_BINARY|" -e 's|^EnvironmentFile=.*|EnvironmentFile=-/dev/null|' \
    "$here/rollbook.service" >"$temporary/rollbook.service"
  findings=$(systemd-analyze verify --man=no "$temporary/rollbook.service" 2>&1 | grep rollbook || true)
  [[ -z $findings ]] || fail "systemd: $findings"
  exposure=$(systemd-analyze security --offline=yes "$temporary/rollbook.service" 2>/dev/null | grep -i 'overall exposure' || true)
  echo "systemd: the unit has no faults. ${exposure#*→ }"
else
  skip systemd-analyze
fi

# --- Kubernetes --------------------------------------------------------------------------------------------

if has kubectl; then
  cp "$here/kubernetes.yaml" "$temporary"
  printf 'resources: [kubernetes.yaml]\n' >"$temporary/kustomization.yaml"
  kinds=$(kubectl kustomize "$temporary" | grep -c '^kind: ')
  [[ $kinds == 4 ]] || fail "the manifest has $kinds objects"
  echo "kubernetes: the manifest is read"
else
  skip kubectl
fi

# --- settings ----------------------------------------------------------------------------------------------

# Each variable of these files is a setting of this version.
settings=$("$ROLLBOOK_CLIENT_BINARY" serve --help)
for name in $(grep -ohE '\bROLLBOOK_[A-Z_]+' "$here"/{rollbook.env,compose.yaml,kubernetes.yaml} | sort -u); do
  case $name in ROLLBOOK_PORT) continue ;; esac
  grep -q "\b$name\b" <<<"$settings" || fail "$name is no setting"
done
echo "settings: all exist"
echo "the files work"

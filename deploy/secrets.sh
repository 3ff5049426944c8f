#!/bin/sh
# Makes the folder of secrets that docker-compose.yml mounts: sh deploy/secrets.sh [sandbox] [FOLDER]
# The passwords of PostgreSQL and Grafana and the first encryption key are made up; what is there is left alone. `sandbox` adds what the simulated
# systems of the pair `demo` know. All others are yours to put there, one file each (docs/deploy.md).
set -eu
umask 022
with=""
if [ "${1:-}" = sandbox ]; then
    with=sandbox
    shift
fi
folder="${1:-secrets}"

# Containers run as several users: who may come here is decided at this folder's door, inside it everything is readable.
mkdir -p "$folder"
chmod 700 "$folder"
for part in shared api sage clarity; do
    mkdir -p "$folder/$part"
    chmod 755 "$folder/$part"
done

random() {
    od -An -tx1 -N 24 /dev/urandom | tr -d ' \n'
}

keep() {
    [ -e "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
    chmod 444 "$folder/$1"
}

keep postgres_password "$(random)"
keep grafana_admin_password "$(random)"
# To be replaced by a key of scope read, else Prometheus gets 401 of the API (docs/deploy.md)
keep prometheus_api_key none
# What Temporal stores is encrypted with it: keep a copy elsewhere (docs/personal-data.md)
keep shared/encryption_keys "first:$(head -c 32 /dev/urandom | base64)"
if [ "$with" = sandbox ]; then
    keep shared/demo_match_key_secret "$(random)"
    keep api/demo_clarity_webhook_secrets "whsec_$(printf sandbox-webhook-signing-secret-001 | base64)"
    keep sage/demo_sage_password sandbox-only
    keep clarity/demo_clarity_client_secret clarity-sandbox-secret
fi

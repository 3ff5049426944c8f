#!/bin/sh
# Creates Temporal's two databases and brings their schema up to the version of this image. Runs at every start.
set -eu
SQL_PASSWORD="$(cat /run/secrets/postgres_password)"
export SQL_PASSWORD

prepare() {
    set -- "$1" "/etc/temporal/schema/postgresql/v12/$2/versioned"
    temporal-sql-tool --plugin postgres12 --ep postgres -p 5432 -u temporal --db "$1" create
    temporal-sql-tool --plugin postgres12 --ep postgres -p 5432 -u temporal --db "$1" setup-schema -v 0.0
    temporal-sql-tool --plugin postgres12 --ep postgres -p 5432 -u temporal --db "$1" update-schema -d "$2"
}

prepare temporal temporal
prepare temporal_visibility visibility

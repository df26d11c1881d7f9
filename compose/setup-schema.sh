#!/bin/sh
# Makes Temporal's two databases with their tables, or brings them up to this version. Doing it again changes nothing.
# Reads POSTGRES_HOST, POSTGRES_USER, SQL_PASSWORD, DBNAME, VISIBILITY_DBNAME.
set -eu

set_up() { # database, schema directory
  database=$1 schema=$2
  set -- --plugin postgres12 --ep "$POSTGRES_HOST" -p 5432 -u "$POSTGRES_USER" --db "$database"
  temporal-sql-tool "$@" create
  temporal-sql-tool "$@" setup-schema -v 0.0
  temporal-sql-tool "$@" update-schema -d "/etc/temporal/schema/postgresql/v12/$schema/versioned"
  echo "database $database is ready"
}

set_up "$DBNAME" temporal
set_up "$VISIBILITY_DBNAME" visibility

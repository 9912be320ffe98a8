#!/bin/sh
# Make the cluster and its schema at the first start, then become the server. Other commands run as they are.
set -eu

make_cluster() {
  initdb --username=postgres --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --no-sync >/dev/null
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  pg_ctl start --silent --wait --options="-c listen_addresses=''" >/dev/null
  psql --quiet --no-psqlrc --username=postgres --set=ON_ERROR_STOP=1 <<'SQL'
\getenv user POSTGRES_USER
\getenv password POSTGRES_PASSWORD
\getenv database POSTGRES_DB
CREATE ROLE :"user" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"user";
SQL
  psql --quiet --no-psqlrc --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=ON_ERROR_STOP=1 \
    --single-transaction --file=/schema/schema.sql
  pg_ctl stop --silent --mode=fast --wait
}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  make_cluster
fi
exec "$@"

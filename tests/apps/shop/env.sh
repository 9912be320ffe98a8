#!/bin/sh
# Turn the variables of a linked database into the one that the application expects, then become the command.
set -eu

quoted() { # the value of the variable $1, safe inside a URI
  python3 -c 'import os, sys, urllib.parse; print(urllib.parse.quote(os.environ[sys.argv[1]], safe=""))' "$1"
}

if [ -z "${SQLALCHEMY_DATABASE_URI:-}" ] && [ -n "${DB_PORT_5432_TCP_ADDR:-}" ]; then
  login=$(quoted DB_ENV_POSTGRES_USER):$(quoted DB_ENV_POSTGRES_PASSWORD)
  server=$DB_PORT_5432_TCP_ADDR:$DB_PORT_5432_TCP_PORT
  export SQLALCHEMY_DATABASE_URI="postgresql://$login@$server/$DB_ENV_POSTGRES_DB"
fi
exec "$@"

#!/bin/sh
# Start a server of our own in this container and check what it serves.
set -eu
work=$(mktemp -d)
export PGDATA="$work/data"
/schema/entrypoint.sh postgres >"$work/log" 2>&1 &
server=$!

until pg_isready -q -h 127.0.0.1; do
  kill -0 "$server" 2>/dev/null || { cat "$work/log"; echo "the server did not start"; exit 1; }
  sleep 0.1
done
PGPASSWORD="$POSTGRES_PASSWORD" psql --quiet --no-psqlrc --host=127.0.0.1 --username="$POSTGRES_USER" \
  --dbname="$POSTGRES_DB" --set=ON_ERROR_STOP=1 --file=/schema/test.sql
if PGPASSWORD=wrong psql -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'SELECT 1' >/dev/null 2>&1; then
  echo "a wrong password was accepted"; exit 1
fi
kill -INT "$server"
wait "$server"
echo "schema: ok"

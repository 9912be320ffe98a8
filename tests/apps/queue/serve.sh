#!/bin/sh
# The password reaches Redis by its standard input: a command line is there for everybody on the host to read.
set -eu
exec redis-server - <<END
dir /var/lib/redis
appendonly yes
protected-mode no
requirepass $(cat "${PASSWORD_FILE:-/run/secrets/queue_password}")
END

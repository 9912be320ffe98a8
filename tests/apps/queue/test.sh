#!/bin/sh
# Who knows the password is served, and nobody else.
set -eu
printf known >/tmp/password
PASSWORD_FILE=/tmp/password /queue/serve.sh >/tmp/log &
tries=50
until REDISCLI_AUTH=known redis-cli ping 2>/dev/null | grep -q PONG; do
  tries=$((tries - 1)) && [ $tries -gt 0 ] || { cat /tmp/log; exit 1; }
  sleep 0.1
done
redis-cli ping | grep NOAUTH

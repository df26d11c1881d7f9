#!/bin/sh
# Makes the namespace and the search attributes of Cloud PCs. Doing it again changes nothing.
# Reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, RETENTION, SEARCH_ATTRIBUTES ("Name=Type Name=Type").
set -eu

attempts=60
until_done() { # command...: tries again every 2 s, until all attempts together are used up
  until "$@"; do
    attempts=$((attempts - 1))
    if [ "$attempts" -le 0 ]; then
      echo "gave up: $*" >&2
      exit 1
    fi
    sleep 2
  done
}

namespace_exists() {
  temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
}

until_done temporal operator cluster health
until_done namespace_exists
for attribute in $SEARCH_ATTRIBUTES; do
  set -- "$@" --name "${attribute%=*}" --type "${attribute#*=}"
done
# A namespace that has just been made is not known everywhere at once.
until_done temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" "$@"
echo "namespace $TEMPORAL_NAMESPACE is ready"

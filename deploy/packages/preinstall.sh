#!/bin/sh
# Creates the user of the service, before a folder that belongs to this user is unpacked.
set -e
if ! getent group beadle >/dev/null; then
  groupadd --system beadle
fi
if ! getent passwd beadle >/dev/null; then
  shell=/usr/sbin/nologin
  [ -x "$shell" ] || shell=/sbin/nologin
  useradd --system --gid beadle --home-dir /var/lib/beadle --no-create-home --shell "$shell" beadle
fi

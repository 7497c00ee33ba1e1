#!/bin/sh
# Tells systemd about the unit. A running service keeps the old program until the operator restarts
# it, because the new program may change the format of the stored data, which cannot be undone.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true # it reads the units at the next start of the machine
  if systemctl is-active --quiet beadle.service; then
    echo "beadle: the service still runs the old program. Run 'beadle self check', copy the state, and restart the service."
  fi
fi

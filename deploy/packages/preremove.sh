#!/bin/sh
# Stops the service before the package is removed. The argument is `remove` in Debian and 0 with
# RPM. During an upgrade it is `upgrade` or 1.
set -e
case "${1:-}" in
  remove | 0)
    if [ -d /run/systemd/system ]; then
      systemctl disable --now beadle.service
    fi
    ;;
esac

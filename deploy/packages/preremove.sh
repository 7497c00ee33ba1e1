#!/bin/sh
# Stops the service before the package is removed. The argument is `remove` in Debian and 0 with
# RPM. During an upgrade it is `upgrade` or 1.
set -e
case "${1:-}" in
  remove | 0)
    # A unit that is masked, or a systemd that does not answer, must not prevent the removal.
    if [ -d /run/systemd/system ]; then
      systemctl disable --now beadle.service || echo "beadle: the service may still run"
    fi
    ;;
esac

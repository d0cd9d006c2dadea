#!/bin/sh
# Starts the Chromium that the set-up unpacked into .tools (Debian's own start script has fixed
# paths). The set-up copies this file to .tools/usr/bin/chromium.
tools=$(cd "$(dirname "$0")/../.." && pwd)
for libraries in "$tools"/usr/lib/*-linux-gnu "$tools"/usr/lib/*-linux-gnu/pulseaudio \
    "$tools"/lib/*-linux-gnu; do
    [ -d "$libraries" ] && LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
export FONTCONFIG_FILE="$tools/etc/fonts/crmops.conf"
exec "$tools/usr/lib/chromium/chromium" "$@"

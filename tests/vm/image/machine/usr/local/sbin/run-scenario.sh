#!/bin/bash
# run-scenario.sh runs the script that the second disk holds, and turns the
# machine off. What the script writes goes to the second serial port, between
# a "@boot" line and an "@exit" line; what it leaves in /out, to the third disk.
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM=dumb
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1 </dev/null
mkdir -p /in /out
tar -C /in -xf /dev/vdb
read -r up _ </proc/uptime
echo "@boot $up"
cd /in || exit
bash /in/main.sh
status=$?
dmesg >/out/dmesg
if [ -d /run/systemd/system ]; then
	journalctl --no-pager -o short-monotonic >/out/syslog
else
	cp /var/log/syslog /out/syslog
fi
tar -C /out -cf /dev/vdc .
sync
echo "@exit $status"
sleep 0.2 # the serial port's buffer
echo o >/proc/sysrq-trigger
sleep 60

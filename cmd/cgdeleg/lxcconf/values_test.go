package lxcconf

import "testing"

func TestWanted(t *testing.T) {
	for _, test := range []struct{ key, value, want string }{
		{"lxc.start.auto", "1", ""},
		{"lxc.start.auto", "0", ""},
		{"lxc.start.auto", "true", "0 or 1"},
		{"lxc.start.auto", "2", "0 or 1"},
		{"lxc.start.auto", "", ""},
		{"lxc.tty.max", "4", ""},
		{"lxc.tty.max", "0x10", ""},
		{"lxc.tty.max", "four", "a number"},
		{"lxc.pty.max", "-1", "a number"},
		{"lxc.signal.halt", "SIGRTMIN+4", ""},
		{"lxc.signal.halt", "37", ""},
		{"lxc.signal.halt", "PWR", "a signal, such as SIGPWR, or its number,"},
		{"lxc.log.level", "info", ""},
		{"lxc.log.level", "4", ""},
		{"lxc.log.level", "loud", "one of TRACE, DEBUG, INFO, NOTICE, WARN, ERROR, CRIT, ALERT, FATAL"},
		{"lxc.mount.auto", "proc:mixed sys:ro cgroup:mixed:force", ""},
		{"lxc.mount.auto", "proc:mixed,sys:ro", "proc:mixed sys:ro"},
		{"lxc.mount.auto", "cgroup,sys", "cgroup sys"},
		{"lxc.mount.auto", "proc:ro sys", "of proc one of proc, proc:mixed, proc:rw"},
		{"lxc.net.0.ipv4.address", "10.0.3.2/24", ""},
		{"lxc.net.0.ipv4.address", "10.0.3.2/24 10.0.3.255", ""},
		{"lxc.net.0.ipv4.address", "10.0.3.300/24", "an IPv4 address, such as 10.0.3.30/24,"},
		{"lxc.net.0.ipv4.gateway", "auto", ""},
		{"lxc.net.0.ipv4.gateway", "none", "an IPv4 address, such as 10.0.3.30/24,"},
		{"lxc.net.0.ipv6.address", "fd00::2/64", ""},
		{"lxc.net.0.ipv6.address", "10.0.3.2/24", "an IPv6 address, such as fd00::30/64,"},
		{"lxc.net.0.link", "10.0.3.300", ""},
		{"lxc.uts.name", "true", ""},
	} {
		if got := Wanted(test.key, test.value); got != test.want {
			t.Errorf("%s = %s: %q, want %q", test.key, test.value, got, test.want)
		}
	}
}

func TestSwitch(t *testing.T) {
	for _, test := range []struct{ key, value, want string }{
		{"lxc.start.auto", "true", "1"}, {"lxc.no_new_privs", "No", "0"}, {"lxc.start.auto", "maybe", ""}, {"lxc.uts.name", "yes", ""},
	} {
		if got := Switch(test.key, test.value); got != test.want {
			t.Errorf("%s = %s: %q, want %q", test.key, test.value, got, test.want)
		}
	}
}

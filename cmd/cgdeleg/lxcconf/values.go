package lxcconf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// switches are the keys that take 0 or 1, and no word (confile.c).
var switches = []string{
	"lxc.apparmor.allow_incomplete", "lxc.apparmor.allow_nesting", "lxc.autodev", "lxc.cgroup.relative", "lxc.ephemeral",
	"lxc.no_new_privs", "lxc.rootfs.managed", "lxc.start.auto",
}

// counts are the keys that take a number.
var counts = []string{"lxc.monitor.unshare", "lxc.pty.max", "lxc.start.delay", "lxc.tty.max"}

// signals are the keys that take a signal.
var signals = []string{"lxc.signal.halt", "lxc.signal.reboot", "lxc.signal.stop"}

// levels are the words of lxc.log.level (log.h).
var levels = []string{"trace", "debug", "info", "notice", "warn", "error", "crit", "alert", "fatal"}

// autoMounts are what lxc.mount.auto takes of these file systems. What it takes of others has
// changed with the versions.
var autoMounts = map[string][]string{"proc": {"proc", "proc:mixed", "proc:rw"}, "sys": {"sys", "sys:ro", "sys:mixed", "sys:rw"}}

// Wanted says what LXC 3 to 6 want for a key in place of a value at which they refuse to read
// the configuration: "0 or 1". It is "" of a value that they take, and of one that it does not
// know. An empty value takes back what the key has said.
func Wanted(key, value string) string {
	switch {
	case value == "":
	case slices.Contains(switches, key) && value != "0" && value != "1" && !isCount(value, 1):
		return "0 or 1"
	case slices.Contains(counts, key) && !isCount(value, 1<<32-1):
		return "a number"
	case slices.Contains(signals, key) && !isSignal(value):
		return "a signal, such as SIGPWR, or its number,"
	case key == "lxc.log.level" && !isLevel(value):
		return "one of " + strings.ToUpper(strings.Join(levels, ", "))
	case key == "lxc.mount.auto":
		return wantedMounts(value)
	case strings.HasPrefix(key, "lxc.net."):
		return wantedAddress(key, value)
	}
	return ""
}

// Switch returns how a word for yes or no is written for a key that takes 0 or 1; "" of another
// word or key.
func Switch(key, value string) string {
	switch value = strings.ToLower(value); {
	case !slices.Contains(switches, key):
		return ""
	case slices.Contains([]string{"yes", "true", "on", "y"}, value):
		return "1"
	case slices.Contains([]string{"no", "false", "off", "n"}, value):
		return "0"
	}
	return ""
}

// isCount tells whether a value is a number up to most, as lxc_safe_uint takes it: in C's
// notations, blanks before it.
func isCount(value string, most uint64) bool {
	n, err := strconv.ParseUint(strings.TrimLeft(value, " \t"), 0, 32)
	return err == nil && n <= most
}

// isSignal is sig_parse of lxc's: a number, or a name that begins with SIG.
func isSignal(value string) bool {
	return value[0] >= '0' && value[0] <= '9' || len(value) > 3 && strings.EqualFold(value[:3], "sig")
}

func isLevel(value string) bool {
	return value[0] >= '0' && value[0] <= '9' || slices.Contains(levels, strings.ToLower(value))
}

func wantedMounts(value string) string {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	for _, word := range words {
		what, _, _ := strings.Cut(word, ":")
		if known := autoMounts[what]; known != nil && !slices.Contains(known, word) {
			return "of " + what + " one of " + strings.Join(known, ", ")
		}
	}
	if strings.Contains(value, ",") { // which LXC does not take between them
		return strings.Join(words, " ")
	}
	return ""
}

// wantedAddress is for what lxc.net.N says of addresses and gateways.
func wantedAddress(key, value string) string {
	_, name, _ := strings.Cut(strings.TrimPrefix(key, "lxc.net."), ".")
	version, what, _ := strings.Cut(name, ".")
	isOf := map[string]func(netip.Addr) bool{"ipv4": netip.Addr.Is4, "ipv6": netip.Addr.Is6}[version]
	if isOf == nil {
		return ""
	}
	text := value
	switch what {
	case "address":
		text, _, _ = strings.Cut(text, " ")
		text, _, _ = strings.Cut(text, "/")
	case "gateway":
		if value == "auto" || value == "dev" {
			return ""
		}
	default:
		return ""
	}
	if addr, err := netip.ParseAddr(text); err == nil && isOf(addr) && addr.Zone() == "" {
		return ""
	}
	if version == "ipv4" {
		return "an IPv4 address, such as 10.0.3.30/24,"
	}
	return "an IPv6 address, such as fd00::30/64,"
}

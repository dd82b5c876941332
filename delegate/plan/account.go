package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// AccountError says that a user gets nothing, because of its user ID.
type AccountError struct {
	UID   int
	Least int    // the least user ID that gets something
	From  string // the file that says so, or ShadowsDefault; "" if the PAM line does
}

func (e *AccountError) Error() string {
	switch e.From {
	case "":
		return fmt.Sprintf("user ID %d is below min_uid=%d", e.UID, e.Least)
	case ShadowsDefault:
		return fmt.Sprintf("user ID %d is a system account's: below UID_MIN, which is %d by default", e.UID, e.Least)
	}
	return fmt.Sprintf("user ID %d is a system account's: below UID_MIN %d of %s", e.UID, e.Least, e.From)
}

// Account returns an *AccountError for a user who gets nothing. Root gets a session,
// unless the line says otherwise: pam_cgfs gives it one, and LXC's documents name it
// (user/root/0). MinUID is the line's, or DefaultMinUID.
func Account(m machine.Machine, uid, minUID int) error {
	if minUID != DefaultMinUID {
		if uid < minUID {
			return &AccountError{UID: uid, Least: minUID}
		}
		return nil
	}
	if uid == 0 {
		return nil
	}
	if least, file := leastUID(m); uid < least {
		return &AccountError{UID: uid, Least: least, From: file}
	}
	return nil
}

// loginDefs are where login.defs is: an administrator's, and where a distribution
// has its own (libeconf).
var loginDefs = []string{"/etc/login.defs", "/usr/etc/login.defs"}

// defaultLeastUID is what shadow takes where login.defs says nothing.
const defaultLeastUID = 1000

// ShadowsDefault is where the bound comes from if no login.defs has it.
const ShadowsDefault = "shadow's default"

// leastUID returns the least user ID of a person, and what says so.
func leastUID(m machine.Machine) (least int, file string) {
	for _, file := range loginDefs {
		data, err := m.ReadFile(file)
		if err != nil {
			continue
		}
		if least, isSaid := parseLeastUID(string(data)); isSaid {
			return least, file
		}
	}
	return defaultLeastUID, ShadowsDefault
}

// parseLeastUID returns UID_MIN of a login.defs.
func parseLeastUID(data string) (least int, isSaid bool) {
	for line := range strings.Lines(data) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "UID_MIN" {
			continue
		}
		if n, isNumber := parseNumber(fields[1]); isNumber {
			return int(n), true
		}
	}
	return 0, false
}

// parseNumber takes a user ID as strtol(3) does with base 0. Go's base 0 would take
// underscores and 0b as well, which shadow refuses.
func parseNumber(s string) (n uint64, ok bool) {
	s = strings.TrimPrefix(s, "+")
	base := 10
	if hex, isHex := strings.CutPrefix(strings.ToLower(s), "0x"); isHex {
		s, base = hex, 16
	} else if strings.HasPrefix(s, "0") {
		base = 8
	}
	n, err := strconv.ParseUint(s, base, 32)
	return n, err == nil
}

// InUserNamespace tells whether the machine is looked at from a user namespace
// other than the first (user_namespaces(7)).
func InUserNamespace(m machine.Machine) bool {
	data, err := m.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, count uint64
	n, _ := fmt.Sscan(string(data), &inside, &outside, &count)
	return n == 3 && (inside != 0 || outside != 0 || count < math.MaxUint32)
}

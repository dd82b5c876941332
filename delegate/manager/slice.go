package manager

import (
	"fmt"
	"strconv"
	"strings"
)

// UsersSlice has a slice for each user who is logged in or has a user manager
// (systemd.special(7)).
const UsersSlice = "user.slice"

// UserSlice returns the name of the slice that systemd has for all that a user runs, a
// child of UsersSlice.
func UserSlice(uid int) string { return fmt.Sprintf("user-%d.slice", uid) }

// UserOfSlice returns the user ID in a name that UserSlice gives; ok is false for any other
// name.
func UserOfSlice(name string) (uid int, ok bool) {
	digits, isSlice := strings.CutSuffix(strings.TrimPrefix(name, "user-"), ".slice")
	n, err := strconv.ParseUint(digits, 10, 32)
	return int(n), isSlice && err == nil && name == UserSlice(int(n))
}

// Package served spoils each system call of `cgdeleg serve` while it answers. It is a
// package of its own because a server removes every user's dead sessions.
package served

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/faults"
	"github.com/cgdeleg/pam_cgdeleg/tests/faults/inject"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.MainUndisturbing(m)) }

// from counts the calls of a server from the nth request on.
func from(nth int) func() func(bool, inject.Stop) bool {
	return func() func(bool, inject.Stop) bool {
		requests := 0
		return func(counted bool, s inject.Stop) bool {
			if s.Number == unix.SYS_ACCEPT4 && s.Ends && s.Result >= 0 {
				requests++
			}
			return counted || requests >= nth
		}
	}
}

func TestFaults(t *testing.T) {
	const threeHierarchies = "-c freezer,memory,name=systemd"
	for i, k := range []faults.Kind{
		{Name: "serve, from the open on", Options: "debug " + threeHierarchies, Counts: from(1), In: faults.Both},
		{Name: "serve, the close that is waited for", Options: "debug close=wait " + threeHierarchies, Counts: from(2), In: faults.Close},
	} {
		k.User, k.UID, k.IsServed, k.NobodyWaits = "cgfaultserve"+string(rune('a'+i)), 23120+i, true, true
		t.Run(k.Name, func(t *testing.T) { k.Test(t) })
	}
}

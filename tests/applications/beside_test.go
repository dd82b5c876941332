package applications

import (
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/neighbour"
)

// Nobody goes without the lock beside a user whose logins leave large trees, neither
// that user nor another. How long they wait is measured in tests/bench.
func TestNobodyGoesWithoutTheLock(t *testing.T) {
	testbed.Need(t, "gcc")
	first := testbed.AddUser(t, "cgbesidea", 20911)
	testbed.WriteService(t, "cgbeside", testbed.SessionLine(t, threeHierarchies))
	other := neighbour.Neighbour{User: testbed.AddUser(t, "cgbesideb", 20912), Application: testbed.PamappPath(t), Service: "cgbeside"}
	for name, begin := range map[string]func(t *testing.T) (end func()){
		"three loops of logins": func(t *testing.T) func() { return other.Logins(t, 3, 1300) },
		"dead sessions":         func(t *testing.T) func() { return other.Dead(t, 10, 4500) },
	} {
		t.Run(name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			end := begin(t)
			for range 30 {
				run(t, "start=cgbeside:"+first.Name+" open close end").Want(t, "open", "0")
			}
			end()
			testbed.LogFromNow(t)             // all is read that was logged
			for _, line := range log.Ours() { // a logout may be cut short
				if strings.Contains(line, "session made without the lock") || strings.Contains(line, "no cgroups of its own") {
					t.Error(line)
				}
			}
			testbed.WantNothingLeft(t, other.User.Name)
		})
	}
}

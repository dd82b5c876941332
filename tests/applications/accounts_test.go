package applications

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Who gets a session, by user ID: people and root. Silent is what only debug
// tells.
func TestAccounts(t *testing.T) {
	testbed.Need(t, "gcc")
	for _, test := range []struct {
		name    string
		uid     int
		options string
		defs    string // replaces UID_MIN of login.defs; "-": there is no such file
		refused string
	}{
		{"first person", 1000, "", "", ""},
		{"last system account", 999, "", "", `user ID 999 is a system account's: below UID_MIN 1000 of /etc/login.defs, nothing done`},
		{"first system account", 1, "", "", `user ID 1 is a system account's: below UID_MIN 1000 of /etc/login.defs, nothing done`},
		{"nobody", 65534, "", "", ""},
		{"UID_MIN 500, person", 500, "", "UID_MIN 500", ""},
		{"UID_MIN 500, system account", 499, "", "UID_MIN\t\t  500", `user ID 499 is a system account's: below UID_MIN 500 of /etc/login.defs, nothing done`},
		{"UID_MIN in octal", 500, "", "UID_MIN 0764", ""},
		{"UID_MIN commented out", 999, "", "#UID_MIN 500", `user ID 999 is a system account's: below UID_MIN, which is 1000 by default, nothing done`},
		{"UID_MIN that is no number", 999, "", "UID_MIN many", `user ID 999 is a system account's: below UID_MIN, which is 1000 by default, nothing done`},
		{"no login.defs", 999, "", "-", `user ID 999 is a system account's: below UID_MIN, which is 1000 by default, nothing done`},
		{"no login.defs, person", 1000, "", "-", ""},
		{"min_uid=100 lets a system account in", 100, "min_uid=100", "", ""},
		{"min_uid=100 and below", 99, "min_uid=100", "", `user ID 99 is below min_uid=100, nothing done`},
		{"min_uid=0 lets everybody in", 1, "min_uid=0", "", ""},
		{"min_uid=2000 keeps people out", 1999, "min_uid=2000", "", `user ID 1999 is below min_uid=2000, nothing done`},
		{"min_uid= counts before login.defs", 499, "min_uid=400", "UID_MIN 500", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			writeLoginDefs(t, test.defs)
			u := testbed.AddUser(t, fmt.Sprintf("cgacc%d", test.uid), test.uid)
			for _, debug := range []string{"", " debug"} {
				testbed.WriteService(t, "cgaccounts", waitingLine(t, threeHierarchies+" "+test.options+debug))
				log := testbed.LogFromNow(t)
				a := run(t, "syslog state start=cgaccounts:"+u.Name+" cgroups open cgroups close cgroups end state")
				a.Want(t, "open", "0")
				a.Want(t, "close", "0")
				a.WantSameState(t)
				all := a.All("cgroups")
				if test.refused == "" {
					wantPlacement(t, all[1], placed(t, u.Name, 0))
				} else if all[1] != all[0] {
					t.Errorf("was moved: %s", all[1])
				}
				switch {
				case debug == "":
					log.WantSilence()
				case test.refused != "":
					log.Want(`^user "` + u.Name + `": ` + regexp.QuoteMeta(test.refused) + `$`)
				}
			}
		})
	}
}

// writeLoginDefs puts a line in the place of UID_MIN, for the length of the test.
func writeLoginDefs(t *testing.T, line string) {
	t.Helper()
	const file = "/etc/login.defs" // the tests' own
	before, err := os.ReadFile(file)
	t.Cleanup(func() {
		if err == nil {
			_ = os.WriteFile(file, before, 0o644)
		} else {
			_ = os.Remove(file)
		}
	})
	switch line {
	case "":
		line = "UID_MIN 1000"
	case "-":
		_ = os.Remove(file)
		return
	}
	other := regexp.MustCompile(`(?m)^\s*UID_MIN\s.*$`).ReplaceAllString(string(before), "")
	if err := os.WriteFile(file, []byte(other+"\n"+line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Root gets a session as with pam_cgfs, unless the line says otherwise.
func TestAccountRoot(t *testing.T) {
	testbed.Need(t, "gcc")
	for _, test := range []struct {
		name, options string
		moved         bool
	}{
		{"root", "", true},
		{"root, UID_MIN 500", "", true},
		{"root, min_uid=0", "min_uid=0", true},
		{"root, min_uid=1", "min_uid=1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			writeLoginDefs(t, "UID_MIN 500")
			testbed.WriteService(t, "cgroot", waitingLine(t, threeHierarchies+" "+test.options))
			log := testbed.LogFromNow(t)
			a := run(t, "start=cgroot:root cgroups open cgroups close cgroups end")
			all := a.All("cgroups")
			before, inside := testbed.ParsePlacement(all[0]), testbed.ParsePlacement(all[1])
			for _, name := range []string{"freezer", "memory", "name=systemd"} {
				if isIn := strings.HasPrefix(inside[testbed.HierarchyNamed(t, name).Name], "/user/root/"); isIn != test.moved {
					t.Errorf("in %v", inside)
				}
			}
			if after := testbed.ParsePlacement(all[2]); !maps.Equal(after, before) {
				t.Errorf("after the close in %v, was in %v", after, before)
			}
			log.WantSilence()
		})
	}
}

package applications

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// A login's application must not notice the module: state is everything that
// pamapp can look at (threads, descriptors, signal handlers and mask, umask,
// working directory, IDs, environment, session, limits, children).
func TestApplicationIsLeftAsItWas(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgapp", 20001)
	testbed.WriteService(t, "cgapp", waitingLine(t, threeHierarchies))
	module := testbed.Built(t, "pam_cgdeleg.so")
	for name, script := range map[string]string{
		"plain":             "state start=cgapp:%u open state close end state",
		"dlopen alone":      "state load=%m state",
		"odd umask and cwd": "umask=077 chdir=/proc state start=cgapp:%u open state close end state",
		"signals":           "sigchld=reap sigchld=block state start=cgapp:%u open state close end state",
	} {
		t.Run(name, func(t *testing.T) {
			a := run(t, strings.NewReplacer("%u", u.Name, "%m", module).Replace(script))
			a.WantSameState(t)
			for _, state := range a.All("state") {
				if !strings.HasPrefix(state, "threads=1 ") {
					t.Errorf("more than one thread: %s", state)
				}
			}
			for _, word := range []string{"open", "close", "end"} {
				for _, result := range a.All(word) {
					if result != "0" {
						t.Errorf("%s answered %s", word, result)
					}
				}
			}
		})
	}
}

func TestExportsOnlyPAMEntryPoints(t *testing.T) {
	f, err := elf.Open(testbed.Built(t, "pam_cgdeleg.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			exported = append(exported, s.Name)
		}
	}
	slices.Sort(exported)
	if got, want := strings.Join(exported, " "), "pam_sm_close_session pam_sm_open_session"; got != want {
		t.Errorf("exports %q, want %q", got, want)
	}
}

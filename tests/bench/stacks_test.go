package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// stack is what a row of a table measures: a PAM stack with one module.
type stack struct {
	name            string
	module, options string
	hierarchies     string       // as the list is called
	isEmpty         bool         // makes no cgroups
	isFloor         bool         // that of the ratios
	served          bool         // by cgdeleg serve
	user            testbed.User // who logs in
}

// list is which hierarchies are asked for.
type list struct {
	name    string
	members []string // none: all
}

var (
	one   = list{"1", []string{"freezer"}}
	three = list{"3", []string{"freezer", "memory", "name=systemd"}}
	all   = list{"all", nil}
)

// stacks are those to compare, with each list. pam_cgfs takes part if setup.sh could
// get it, and what is served if there is a server.
func stacks(b *testing.B, s *server, lists ...list) (stacks []stack) {
	b.Helper()
	stacks = append(stacks, stack{name: "pam_permit", module: permit(b), hierarchies: "-", isEmpty: true})
	for _, l := range lists {
		stacks = append(stacks, stack{name: "floor", module: floor(b), options: l.forFloor(b), isFloor: true})
		if cgfs := filepath.Join(testbed.Root(b), "build/bench/pam_cgfs.so"); exists(cgfs) {
			stacks = append(stacks, stack{name: "pam_cgfs", module: cgfs, options: l.option()})
		}
		ours := testbed.Built(b, "pam_cgdeleg.so")
		stacks = append(stacks, stack{name: "forked", module: ours, options: l.option()})
		if s != nil {
			stacks = append(stacks, stack{name: "served", module: ours, options: l.option(), served: true})
		}
		for i := range stacks {
			if stacks[i].hierarchies == "" {
				stacks[i].hierarchies = l.name
			}
		}
	}
	return stacks
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// option is the list for pam_cgfs and for ours, which takes the same words.
func (l list) option() string {
	if l.members == nil {
		return "-c all"
	}
	return "-c " + strings.Join(l.members, ",")
}

// forFloor is the list for the floor, which finds nothing by itself.
func (l list) forFloor(b *testing.B) string {
	b.Helper()
	from := testbed.Placement(b, os.Getpid())
	chosen := testbed.Hierarchies()
	if l.members != nil {
		chosen = nil
		for _, name := range l.members {
			chosen = append(chosen, testbed.HierarchyNamed(b, name))
		}
	}
	var words []string
	for _, h := range chosen {
		words = append(words, h.Point, from[h.Name])
	}
	return strings.Join(words, " ")
}

func floor(b *testing.B) string {
	b.Helper()
	return built(b, "bench/floor/pam_floor.c", "-shared", "-fPIC", "-lpam")
}

// permit is where this machine has PAM's own modules.
func permit(b *testing.B) string {
	b.Helper()
	for _, dir := range []string{"/lib/*/security", "/usr/lib/*/security", "/lib/security", "/usr/lib/security", "/lib64/security"} {
		if found, _ := filepath.Glob(dir + "/pam_permit.so"); len(found) > 0 {
			return found[0]
		}
	}
	b.Skip("no pam_permit.so")
	return ""
}

// line is the stack's line of a PAM file.
func (s stack) line() string { return "session optional " + s.module + " " + s.options }

// addUsers gives each stack a user of its own: pam_cgfs leaves cgroups, which ours
// would clean up.
func addUsers(b *testing.B, stacks []stack) {
	b.Helper()
	for i := range stacks {
		name := fmt.Sprintf("cgbench%d", i)
		stacks[i].user = testbed.AddUser(b, name, 20940+i)
		b.Cleanup(func() { testbed.RemoveAll(name) })
	}
}

// confDir has PAM files for pamapp with nothing in them but the stack's line, so that
// the machine's own modules are not measured with it.
const confDir = "/run/bench-pam.d"

// service writes the stack's PAM file and returns its name.
func (s stack) service(b *testing.B) string {
	b.Helper()
	name := s.name + s.hierarchies
	err := os.MkdirAll(confDir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(confDir, name), []byte(s.line()+"\n"), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	return name
}

package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// makeTasks gives the sessions the file that the kernel gives a cgroup of v1.
func makeTasks(t *testing.T, dir string, hierarchies ...string) {
	t.Helper()
	for _, h := range hierarchies {
		if err := os.WriteFile(filepath.Join(dir, h, "user/alice/0/tasks"), nil, 0o644); err != nil {
			t.Error(err)
		}
	}
}

// The process enters by itself as far as it can; the rest is for the worker. What cannot
// be known is taken back.
func TestEnter(t *testing.T) {
	unheard := errors.New("nobody answers")
	both := []string{"f", "p"}
	for _, test := range []struct {
		name    string
		tasks   []string // in which hierarchies there is the file
		entered int
		err     error  // of Enter
		asked   int    // with how many files; -1: not asked
		moved   string // in which hierarchies the worker moves it
		is      string // after an error: in which it is in the session, as /proc says
		want    string // the end of the error
	}{
		{"everything", both, 2, nil, 2, "", "", ""},
		{"one", both, 1, nil, 2, "p", "", ""},
		{"nothing: it has more threads", both, 0, nil, 2, "f p", "", ""},
		{"more than there are", both, 3, nil, 2, "", "", ""},
		{"fewer than none", both, -1, nil, 2, "f p", "", ""},
		{"the file cannot be opened", []string{"f"}, 0, nil, -1, "f p", "", ""},
		{"it is not heard, and entered one", both, 1, unheard, 2, "", "f", "nobody answers"},
		{"it is not heard, and entered nothing", both, 0, unheard, 2, "", "", "nobody answers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, dir := aPlan(t)
			r.Announce = func(*ticket.Ticket) error {
				makeEnterable(t, dir)
				makeTasks(t, dir, test.tasks...)
				return nil
			}
			asked := -1
			r.Enter = func(tasks []int) (int, error) {
				asked = len(tasks)
				for _, fd := range tasks[:min(max(test.entered, 0), len(tasks))] {
					if _, err := unix.Write(fd, []byte("0")); err != nil {
						t.Error(err)
					}
				}
				if test.err != nil {
					at := map[bool]string{true: "/user/alice/0", false: "/job"}
					members := fmt.Sprintf("1:freezer:%s\n2:pids:%s\n", at[test.is == "f"], at[test.is == "p"])
					if err := os.WriteFile(filepath.Join(dir, "proc/7/cgroup"), []byte(members), 0o644); err != nil {
						t.Error(err)
					}
				}
				return test.entered, test.err
			}
			_, err := Run(r)
			// the session is kept by files that here do not go with it
			if kept := (*RollbackError)(nil); errors.As(err, &kept) {
				requireKept(t, kept, "freezer", "pids")
				err = kept.Err
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.HasSuffix(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if asked != test.asked {
				t.Errorf("asked with %d files, want %d", asked, test.asked)
			}
			for i, h := range []string{"f", "p"} {
				want := ""
				if test.is == h { // it is moved back
					want = "7"
				}
				requireContent(t, filepath.Join(dir, h, "job/cgroup.procs"), want)
				if err != nil {
					continue
				}
				entered, moved := "", ""
				if i < test.entered {
					entered = "0"
				}
				if !slices.Contains(test.tasks, h) {
					continue
				}
				if strings.Contains(test.moved, h) {
					moved = "7"
				}
				requireContent(t, filepath.Join(dir, h, "user/alice/0/tasks"), entered)
				requireContent(t, filepath.Join(dir, h, "user/alice/0/cgroup.procs"), moved)
			}
		})
	}
}

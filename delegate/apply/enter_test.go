package apply

import (
	"errors"
	"os"
	"path/filepath"
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
	for _, test := range []struct {
		name    string
		tasks   []string // in which hierarchies there is the file
		entered int
		err     error  // of Enter
		asked   int    // with how many files
		moved   string // in which hierarchies the worker moves it
		back    bool   // it is moved back
		want    string // the end of the error
	}{
		{"everything", []string{"f", "p"}, 2, nil, 2, "", false, ""},
		{"one", []string{"f", "p"}, 1, nil, 2, "p", false, ""},
		{"nothing: it has more threads", []string{"f", "p"}, 0, nil, 2, "f p", false, ""},
		{"more than there are", []string{"f", "p"}, 3, nil, 2, "", false, ""},
		{"fewer than none", []string{"f", "p"}, -1, nil, 2, "f p", false, ""},
		{"it is not heard", []string{"f", "p"}, 0, unheard, 2, "", true, "nobody answers"},
		{"no such file", []string{"f"}, 0, nil, -1, "", false, "tasks: no such file or directory"},
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
				return test.entered, test.err
			}
			_, err := Run(r)
			if (err == nil) != (test.want == "") || err != nil && !strings.HasSuffix(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if asked != test.asked {
				t.Errorf("asked with %d files, want %d", asked, test.asked)
			}
			for i, h := range []string{"f", "p"} {
				want := ""
				if test.back {
					want = "7"
				}
				requireContent(t, filepath.Join(dir, h, "job/cgroup.procs"), want)
				if err != nil {
					continue // the session is gone, but for the files that here do not go with it
				}
				entered, moved := "", ""
				if i < test.entered {
					entered = "0"
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

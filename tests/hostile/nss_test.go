package hostile

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// useNameService has the private /etc ask libnss_cgtest for users (nss/nss_cgtest.c).
func useNameService(t *testing.T) {
	t.Helper()
	dir := testbed.TempDir(t)
	set(t, "/etc/ld.so.cache", func(text string) string { return text })
	library := testbed.CompileC(t, "nss/nss_cgtest.c", "-shared", "-fPIC")
	if err := os.Rename(library, filepath.Join(dir, "libnss_cgtest.so.2")); err != nil {
		t.Fatal(err)
	}
	// ldconfig's own cache is the machine's
	if err := os.MkdirAll("/var/cache/ldconfig", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", "/var/cache/ldconfig", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/var/cache/ldconfig", unix.MNT_DETACH) })
	set(t, "/etc/ld.so.conf", func(text string) string { return dir + "\n" + text })
	for _, database := range []string{"passwd", "group", "initgroups"} {
		set(t, "/etc/nsswitch.conf", func(text string) string {
			line := regexp.MustCompile(`(?m)^` + database + `:.*$\n?`)
			return line.ReplaceAllString(text, "") + "\n" + database + ": files cgtest\n"
		})
	}
	if out, err := exec.Command("ldconfig").CombinedOutput(); err != nil {
		t.Fatalf("ldconfig: %v: %s", err, out)
	}
}

// set changes a file for the length of the test.
func set(t *testing.T, file string, change func(text string) string) {
	t.Helper()
	before, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(change(string(before))), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(file, before, 0o644) })
}

// limitGroup has a login ask for the user's groups.
func limitGroup(t *testing.T) {
	t.Helper()
	err := os.MkdirAll("/etc/cgdeleg", 0o755)
	if err == nil {
		err = os.WriteFile("/etc/cgdeleg/limits.conf", []byte("@nobodyhere session pids.max=100\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove("/etc/cgdeleg/limits.conf") })
}

// A name service is asked for the account once in an open, in the application, and not in a
// close; however slow it is, nothing is added to that. What it says may be large. The groups
// are asked for outside of the application, until a deadline.
func TestNameServices(t *testing.T) {
	if testbed.Musl() {
		t.Skip("musl has no name service switch")
	}
	testbed.Need(t, "gcc", "ldconfig")
	useNameService(t)
	for _, mode := range []string{"forked", "served"} {
		t.Run(mode, func(t *testing.T) {
			if mode == "served" {
				testbed.Serve(t)
			}
			for _, test := range []struct {
				user        string
				slow        time.Duration // of the account
				isInSession bool
				log         string // "": nothing
			}{
				{"cgnss-slow", 1500 * time.Millisecond, true, ""},
				{"cgnss-much", 0, true, ""},
				{"cgnss-name", 0, false, `longer than 255 bytes; this session has no cgroups of its own$`},
				{"cgnss-hang", 0, true, `^the groups of user "cgnss-hang" are not known`},
			} {
				t.Run(test.user, func(t *testing.T) {
					if test.user == "cgnss-hang" {
						limitGroup(t)
					}
					_ = os.Remove("/run/cgnss-asked")
					u := testbed.User{Name: test.user}
					testbed.WriteService(t, u.Name, testbed.SessionLine(t, threeHierarchies+" timeout=2"))
					log := testbed.LogFromNow(t)
					l := underFilter(t, u.Name, u, "")
					if !l.whole || l.inSession != test.isInSession {
						t.Errorf("in a session: %v, want %v: %s", l.inSession, test.isInSession, l.said)
					}
					if l.took < test.slow || l.took > test.slow+latest {
						t.Errorf("the open took %v", l.took)
					}
					asked, _ := os.ReadFile("/run/cgnss-asked")
					if n := strings.Count(string(asked), "passwd"); n != 1 && test.user != "cgnss-hang" {
						t.Errorf("asked %d times for the account", n)
					}
					if test.log == "" {
						log.WantSilence()
					} else if line := log.Want(test.log); len(line) > 1000 {
						t.Errorf("a line of %d bytes in the log", len(line))
					}
					leaveNothing(t, u, test.user)
				})
			}
		})
	}
}

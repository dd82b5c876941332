package limits

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// The server gives logins their limits, and live sessions those of the files when they
// change.
func TestServed(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglimserved", 25011)
	testbed.AddGroup(t, "cglimstaff", 25901, u.Name)
	testbed.WriteLimits(t, "@cglimstaff user memory.max=1G", u.Name+" session pids.max=50") // of this user alone: serve applies the lines to all who have sessions
	s := testbed.Serve(t)
	log := testbed.LogFromNow(t)
	l := open(t, u, "-c memory,pids debug")
	if got := read(t, l.dir("memory", "memory.limit_in_bytes")); got != fmt.Sprint(1<<30) {
		t.Errorf("memory.limit_in_bytes is %s", got)
	}
	log.Want("session 0 opened by \"cglimserved\" in .*memory")
	for _, memory := range []int{2 << 30, 3 << 30} {
		testbed.WriteLimits(t, fmt.Sprintf("%s user memory.max=%d", u.Name, memory))
		testbed.Eventually(t, "the limit is raised", func() bool {
			return read(t, l.dir("memory", "memory.limit_in_bytes")) == fmt.Sprint(memory) && read(t, l.dir("pids", "0", "pids.max")) == "max"
		})
	}
	l.close()
	s.End(unix.SIGTERM)
	testbed.WantNothingLeft(t, u.Name)
}

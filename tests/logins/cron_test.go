package logins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// atOnce is how many jobs cron starts in the same moment.
const atOnce = 20

// Jobs that begin together must get a session each: the module's processes race
// for the lowest number.
func TestCronJobsAtOnce(t *testing.T) {
	log := loggingService(t, "cron", "cron")
	t.Cleanup(func() { log.WantOnly(testbed.WaitedForLock) })
	u := testbed.AddUser(t, "cglogcron", 21040)
	var reports, jobs []string
	for i := range atOnce {
		report := filepath.Join(u.Home, fmt.Sprintf("report%d", i))
		reports = append(reports, report)
		// a job ends when its report is taken away
		jobs = append(jobs, fmt.Sprintf("@reboot %s > %s.part && mv %[2]s.part %[2]s && while [ -e %[2]s ]; do sleep 0.1; done", probe, report))
	}
	crontab(t, u, jobs...)
	startCron(t)

	var numbers []int
	for _, report := range reports {
		numbers = append(numbers, wantOwnSession(t, u, awaitFile(t, report), here(t)))
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != i {
			t.Errorf("%d jobs at once are in the sessions %v, want 0 to %d", atOnce, numbers, atOnce-1)
			break
		}
	}
	for _, report := range reports {
		if err := os.Remove(report); err != nil {
			t.Fatal(err)
		}
	}
	testbed.Eventually(t, "all sessions have been closed", func() bool { return len(testbed.Tree(u.Name)) == 0 })
}

// crontab installs a user's jobs, and takes the machine's own from the private
// /etc.
func crontab(t *testing.T, u testbed.User, jobs ...string) {
	t.Helper()
	for _, machines := range []string{"/etc/crontab", "/etc/cron.d"} {
		if err := os.RemoveAll(machines); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join("/var/spool/cron/crontabs", u.Name)
	writeFile(t, file, 0o600, jobs...)
	if err := os.Chown(file, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
}

// startCron starts a cron that takes itself for the first since the boot, and
// ends it with the test.
func startCron(t *testing.T) {
	t.Helper()
	if err := os.Remove("/run/crond.reboot"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := command(ctx, root, "cron", "-f")
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
}

// awaitFile waits until there is such a file, and returns what it says.
func awaitFile(t *testing.T, file string) string {
	t.Helper()
	var data []byte
	testbed.Eventually(t, file+" is there", func() (came bool) {
		var err error
		data, err = os.ReadFile(file)
		return err == nil
	})
	return strings.TrimSpace(string(data))
}

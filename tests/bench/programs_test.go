package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// program is a real application with one login and logout.
type program struct {
	name    string
	service string
	asks    bool // for a password, although it is root
	run     func(b *testing.B, u testbed.User) time.Duration
}

// BenchmarkPrograms is the time of real applications, from their start to their end.
func BenchmarkPrograms(b *testing.B) {
	testbed.Need(b, "su", "sudo", "cron", "/usr/sbin/sshd")
	server := startServer(b)
	stacks := stacks(b, server, three)
	addUsers(b, stacks)
	testbed.WriteAskingService(b, "sshd")
	listener := sshd.Start(b, sshd.Options{})
	machinesOwn := []string{"/etc/crontab", "/etc/cron.d"} // jobs; in the private /etc
	for _, path := range machinesOwn {
		_ = os.RemoveAll(path)
	}
	programs := []program{
		{"su -c true", "su", false, func(b *testing.B, u testbed.User) time.Duration {
			return timed(b, "su", u.Name, "-c", "true")
		}},
		{"sudo true", "sudo", false, func(b *testing.B, u testbed.User) time.Duration {
			return timed(b, "sudo", "-n", "-u", u.Name, "true")
		}},
		{"cron, to a job's end", "cron", false, cronJob},
		{"ssh true", "sshd", true, func(b *testing.B, u testbed.User) time.Duration {
			begun := time.Now()
			client := listener.Login(b, u.Name)
			if out, err := client.Run("true"); err != nil {
				b.Fatalf("ssh: %v: %s", err, out)
			}
			client.Logout()
			return time.Since(begun)
		}},
	}
	n := rounds(30)
	header := []string{"program"}
	for _, s := range stacks {
		header = append(header, s.name, "/ permit")
	}
	var rows [][]string
	for _, p := range programs {
		medians := p.inTurns(b, server, stacks, n)
		row := []string{p.name}
		for _, m := range medians {
			row = append(row, ms(m), ratio(m, medians[0]))
		}
		rows = append(rows, row)
	}
	table(fmt.Sprintf("Whole programs, 3 hierarchies: medians of %d rounds, ms", n), header, rows)
}

// inTurns returns the median of each stack. Programs read their PAM file when they
// begin.
func (p program) inTurns(b *testing.B, server *server, stacks []stack, rounds int) (medians []time.Duration) {
	b.Helper()
	took := make([][]time.Duration, len(stacks))
	for range rounds {
		for _, i := range rand.Perm(len(stacks)) {
			if p.asks {
				testbed.WriteAskingService(b, p.service, stacks[i].line())
			} else {
				testbed.WriteService(b, p.service, stacks[i].line())
			}
			server.answers(stacks[i].served)
			rest()
			took[i] = append(took[i], p.run(b, stacks[i].user))
			for len(testbed.DetachedWorkers()) > 0 {
				time.Sleep(time.Millisecond)
			}
			server.rest()
		}
	}
	for _, t := range took {
		slices.Sort(t)
		medians = append(medians, t[len(t)/2])
	}
	return medians
}

func timed(b *testing.B, command ...string) time.Duration {
	b.Helper()
	begun := time.Now()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		b.Fatalf("%q: %v: %s", command, err, out)
	}
	return time.Since(begun)
}

// cronJob is from the start of a cron that takes itself for the first since the boot
// until its job has run, with an open and without the close.
func cronJob(b *testing.B, u testbed.User) time.Duration {
	b.Helper()
	crontab, done := filepath.Join("/var/spool/cron/crontabs", u.Name), filepath.Join(u.Home, "done")
	err := os.WriteFile(crontab, []byte("@reboot touch "+done+"\n"), 0o600)
	if err == nil {
		err = os.Chown(crontab, u.UID, u.GID)
	}
	if remove := os.Remove("/run/crond.reboot"); !errors.Is(remove, fs.ErrNotExist) {
		err = errors.Join(err, remove)
	}
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("cron", "-f")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for os.Remove(done) != nil && time.Since(begun) < testbed.Patience {
		time.Sleep(100 * time.Microsecond)
	}
	took := time.Since(begun)
	for len(children(cmd.Process.Pid)) > 0 && time.Since(begun) < testbed.Patience { // the close
		time.Sleep(time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_ = os.Remove(crontab)
	if took > testbed.Patience {
		b.Fatal("cron runs no job")
	}
	return took
}

// children are a process's, as the kernel lists them.
func children(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	return string(data)
}

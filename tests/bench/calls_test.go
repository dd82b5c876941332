package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// systemCalls counts those of a transaction, of all processes, and of the server where
// it has a part. The Go runtime makes some more each time under strace; so this is the
// least of three.
func systemCalls(b *testing.B, server *server, s stack) int {
	b.Helper()
	testbed.Need(b, "strace")
	var counted []int
	for range 3 {
		counted = append(counted, countCalls(b, server, s))
	}
	return slices.Min(counted)
}

func countCalls(b *testing.B, server *server, s stack) int {
	b.Helper()
	trace := filepath.Join(testbed.TempDir(b), "trace")
	arguments := []string{"-f", "-I", "2", "-o", trace} // -I 2: it ends on SIGTERM
	if s.served {
		arguments = append(arguments, "-p", fmt.Sprint(server.cmd.Process.Pid))
	}
	app := pamapp(b, script(s, s.service(b))...)
	cmd := exec.Command("strace", append(arguments, app.Args...)...)
	cmd.Env = app.Env
	server.answers(s.served)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	for lines, usages := bufio.NewScanner(out), 0; usages < 2 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "usage: ") {
			usages++
		}
	}
	if s.served { // strace does not end by itself
		time.Sleep(200 * time.Millisecond)
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	_ = cmd.Wait() // what it says of the signal
	data, err := os.ReadFile(trace)
	if err != nil {
		b.Fatal(err)
	}
	return countIn(string(data))
}

// A call is counted where it begins. pamapp says what it has to say on descriptor 20.
var (
	call   = regexp.MustCompile(`^(\d+) +[a-z_0-9]+\(`)
	saying = regexp.MustCompile(`^\d+ +(write\(20, "|newfstatat\(20,|fstat\(20,)`)
)

// countIn counts the calls of the processes but the first, which only measures, after
// its first "usage".
func countIn(trace string) (n int) {
	outer, begun := "", false
	for line := range strings.Lines(trace) {
		match := call.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		if strings.Contains(line, `write(20, "usage: `) {
			outer, begun = match[1], true
		}
		if begun && match[1] != outer && !saying.MatchString(line) {
			n++
		}
	}
	return n
}

// Package applications tests what the module does to the process that loads it,
// with pamapp, a PAM application whose shape a script gives.
package applications

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
const threeHierarchies = "-c freezer,memory,name=systemd"

var compiled = struct {
	sync.Once
	path string
}{path: "/run/pamapp"} // private to the tests, and gone with them

// pamappPath builds pamapp once for all tests of the package.
func pamappPath(t testing.TB) string {
	t.Helper()
	compiled.Do(func() {
		data, err := os.ReadFile(testbed.CompileC(t, "pamapp/pamapp.c", "-lpam", "-ldl", "-lpthread"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(compiled.path, data, 0o755); err != nil {
			t.Fatal(err)
		}
	})
	return compiled.path
}

// waitingLine returns a PAM line whose closes wait until they are done, for tests that
// look right afterwards.
func waitingLine(t testing.TB, options string) string {
	t.Helper()
	return testbed.SessionLine(t, "close=wait "+options)
}

// answers are pamapp's lines, in order.
type answers []string

// all returns what a word answered, every time that it was done.
func (a answers) all(word string) []string {
	var all []string
	for _, line := range a {
		if result, ok := strings.CutPrefix(line, word+": "); ok {
			all = append(all, result)
		}
	}
	return all
}

// one returns what a word answered that was done once.
func (a answers) one(t *testing.T, word string) string {
	t.Helper()
	all := a.all(word)
	if len(all) != 1 {
		t.Fatalf("%d answers to %s, want 1:\n%s", len(all), word, strings.Join(a, "\n"))
	}
	return all[0]
}

// want fails the test unless the word answered exactly this, in order.
func (a answers) want(t *testing.T, word string, results ...string) {
	t.Helper()
	if got := a.all(word); strings.Join(got, "|") != strings.Join(results, "|") {
		t.Errorf("%s answered %q, want %q; all:\n%s", word, got, results, strings.Join(a, "\n"))
	}
}

// wantSameState fails the test unless "state" was done several times and
// always answered the same.
func (a answers) wantSameState(t *testing.T) {
	t.Helper()
	all := a.all("state")
	if len(all) < 2 {
		t.Fatalf("state answered %d times", len(all))
	}
	for _, later := range all[1:] {
		if later != all[0] {
			t.Errorf("state changed:\nbefore %s\nafter  %s", all[0], later)
		}
	}
}

// run runs a script to its end.
func run(t *testing.T, script string) answers {
	t.Helper()
	app := launch(t, script)
	return app.finish()
}

// application is a running pamapp.
type application struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  *bufio.Scanner
	seen   answers
	cancel context.CancelFunc
}

// launch starts a script. Words are separated by spaces; \s is a space in one.
func launch(t *testing.T, script string) *application {
	t.Helper()
	words := strings.Fields(script)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], `\s`, " ")
	}
	return launchWords(t, words...)
}

func launchWords(t *testing.T, words ...string) *application {
	t.Helper()
	return launchUnder(t, nil, words...)
}

// launchUnder starts a script by another program, whose PID is then the
// application's here.
func launchUnder(t *testing.T, under []string, words ...string) *application {
	t.Helper()
	args := append(append(slices.Clone(under), pamappPath(t)), words...)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	app := &application{t: t, cmd: exec.CommandContext(ctx, args[0], args[1:]...), cancel: cancel}
	app.cmd.Stderr = os.Stderr
	out, err := app.cmd.StdoutPipe()
	if err == nil {
		app.in, err = app.cmd.StdinPipe()
	}
	if err == nil {
		err = app.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = app.cmd.Wait() })
	app.lines = bufio.NewScanner(out)
	return app
}

// await reads until the word has answered, and returns the answer.
func (app *application) await(word string) string {
	app.t.Helper()
	for app.lines.Scan() {
		app.seen = append(app.seen, app.lines.Text())
		if result, ok := strings.CutPrefix(app.lines.Text(), word+": "); ok {
			return result
		}
	}
	app.t.Fatalf("pamapp ended before %s:\n%s", word, strings.Join(app.seen, "\n"))
	return ""
}

// resume lets the script go on behind its next "pause".
func (app *application) resume() {
	app.t.Helper()
	if _, err := fmt.Fprintln(app.in); err != nil {
		app.t.Fatal(err)
	}
}

// finish reads to the end and returns all answers.
func (app *application) finish() answers {
	app.t.Helper()
	for app.lines.Scan() {
		app.seen = append(app.seen, app.lines.Text())
	}
	if err := app.cmd.Wait(); err != nil {
		app.t.Fatalf("pamapp: %v\n%s", err, strings.Join(app.seen, "\n"))
	}
	return app.seen
}

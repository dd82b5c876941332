package testbed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var compiled = struct {
	sync.Once
	path string
}{path: "/run/pamapp"} // private to the tests, and gone with them

// PamappPath builds pamapp once for all tests of a package.
func PamappPath(t testing.TB) string {
	t.Helper()
	compiled.Do(func() {
		data, err := os.ReadFile(CompileC(t, filepath.Join(Root(t), "tests/applications/pamapp/pamapp.c"), "-lpam", "-ldl", "-lpthread"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(compiled.path, data, 0o755); err != nil {
			t.Fatal(err)
		}
	})
	return compiled.path
}

// Answers are pamapp's lines, in order.
type Answers []string

// All returns what a word answered, every time that it was done.
func (a Answers) All(word string) []string {
	var all []string
	for _, line := range a {
		if result, ok := strings.CutPrefix(line, word+": "); ok {
			all = append(all, result)
		}
	}
	return all
}

// One returns what a word answered that was done once.
func (a Answers) One(t *testing.T, word string) string {
	t.Helper()
	all := a.All(word)
	if len(all) != 1 {
		t.Fatalf("%d answers to %s, want 1:\n%s", len(all), word, strings.Join(a, "\n"))
	}
	return all[0]
}

// Want fails the test unless the word answered exactly this, in order.
func (a Answers) Want(t *testing.T, word string, results ...string) {
	t.Helper()
	if got := a.All(word); strings.Join(got, "|") != strings.Join(results, "|") {
		t.Errorf("%s answered %q, want %q; all:\n%s", word, got, results, strings.Join(a, "\n"))
	}
}

// WantSameState fails the test unless "state" was done several times and
// always answered the same.
func (a Answers) WantSameState(t *testing.T) {
	t.Helper()
	all := a.All("state")
	if len(all) < 2 {
		t.Fatalf("state answered %d times", len(all))
	}
	for _, later := range all[1:] {
		if later != all[0] {
			t.Errorf("state changed:\nbefore %s\nafter  %s", all[0], later)
		}
	}
}

// RunApplication runs a script to its end.
func RunApplication(t *testing.T, script string) Answers {
	t.Helper()
	app := LaunchApplication(t, script)
	return app.Finish()
}

// Application is a running pamapp, a PAM application whose shape a script gives
// (tests/applications/pamapp).
type Application struct {
	t *testing.T
	// Cmd has been started.
	Cmd    *exec.Cmd
	in     io.WriteCloser
	lines  *bufio.Scanner
	seen   Answers
	cancel context.CancelFunc
}

// LaunchApplication starts a script. Words are separated by spaces; \s is a space in one.
func LaunchApplication(t *testing.T, script string) *Application {
	t.Helper()
	words := strings.Fields(script)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], `\s`, " ")
	}
	return LaunchUnder(t, nil, words...)
}

// LaunchUnder starts a script by another program, whose PID is then the
// application's here. CGDELEG_UNDER has one for all of them (tests/sanitizers).
func LaunchUnder(t *testing.T, under []string, words ...string) *Application {
	t.Helper()
	args := slices.Concat(under, strings.Fields(os.Getenv("CGDELEG_UNDER")), []string{PamappPath(t)}, words)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	app := &Application{t: t, Cmd: exec.CommandContext(ctx, args[0], args[1:]...), cancel: cancel}
	app.Cmd.Stderr = os.Stderr
	out, err := app.Cmd.StdoutPipe()
	if err == nil {
		app.in, err = app.Cmd.StdinPipe()
	}
	if err == nil {
		err = app.Cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = app.Cmd.Wait() })
	app.lines = bufio.NewScanner(out)
	return app
}

// Await reads until the word has answered, and returns the answer.
func (app *Application) Await(word string) string {
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

// Resume lets the script go on after its next "pause".
func (app *Application) Resume() {
	app.t.Helper()
	if _, err := fmt.Fprintln(app.in); err != nil {
		app.t.Fatal(err)
	}
}

// Finish reads to the end and returns all answers.
func (app *Application) Finish() Answers {
	app.t.Helper()
	for app.lines.Scan() {
		app.seen = append(app.seen, app.lines.Text())
	}
	if err := app.Cmd.Wait(); err != nil {
		app.t.Fatalf("pamapp: %v\n%s", err, strings.Join(app.seen, "\n"))
	}
	return app.seen
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pasted"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// excludesPasted are the options that name another machine, process or configuration, or
// change something.
var excludesPasted = []string{"user", "pid", "probe", "root", "container", "lxc-config", "bundle"}

// readPasted reads what --pasted names: a directory, or the standard input.
func (t *target) readPasted(in io.Reader, errOut io.Writer) (*pasted.Paste, error) {
	for _, name := range excludesPasted {
		if t.flags.Changed(name) {
			return nil, &usageError{fmt.Errorf("--pasted excludes --%s: what was pasted is the machine, the process and the container", name)}
		}
	}
	if st, err := os.Stat(t.pasted); err == nil && !st.IsDir() {
		return nil, &usageError{fmt.Errorf("%s is a file, and --pasted wants a directory with files, or a text: --pasted - <%s", printable(t.pasted), printable(t.pasted))}
	}
	read := func() (*pasted.Paste, error) { return pasted.Dir(t.pasted) }
	switch t.pasted {
	case "":
		return nil, &usageError{errors.New("--pasted needs a directory, or - for the standard input")}
	case "-":
		if f, isFile := in.(*os.File); isFile && isTerminal(f) {
			complain(errOut, "paste the text, then Enter and Ctrl-D")
		}
		read = func() (*pasted.Paste, error) { return pasted.Text(in) }
	}
	p, err := read()
	var nothing *pasted.NothingError
	switch {
	case errors.As(err, &nothing) && nothing.IsRecording:
		return nil, &usageError{fmt.Errorf("%w; it looks like a recorded machine: cgdeleg --root %s check", err, t.pasted)}
	case errors.As(err, &nothing) && t.pasted == "-":
		return nil, &usageError{fmt.Errorf("%w: want files such as /proc/self/mountinfo, /proc/self/cgroup, /proc/self/status or the configuration of a container, with the commands that show them (\"$ cat /proc/self/cgroup\") or without", err)}
	case errors.As(err, &nothing):
		return nil, &usageError{fmt.Errorf("%w: want files that are called mountinfo, cgroup, status, config (of a container), subuid or subgid", err)}
	case err != nil:
		return nil, &usageError{err}
	}
	return p, nil
}

// pastedFacts reads what the checks need of what was pasted. It lays that out as a recorded
// machine, which remove removes.
func (t *target) pastedFacts(p *pasted.Paste) (f *check.Facts, remove func(), err error) {
	if t.nested < 1 {
		return nil, nil, &usageError{fmt.Errorf("--nested %d: want at least 1", t.nested)}
	}
	dir, remove, err := temporaryDir("cgdeleg-pasted-")
	if err != nil {
		return nil, nil, &failure{err.Error()}
	}
	if err := p.Record(dir); err != nil {
		remove()
		return nil, nil, &failure{err.Error()}
	}
	m := machine.Recorded(dir)
	f = &check.Facts{Machine: m, Nested: t.nested, System: systemOf(m), Partial: true, Subject: check.Part(m, p.PID(), p.User())}
	if p.Has("config") {
		var line *confparse.ParseError
		f.Config, err = lxcconf.ReadPart(m.As(f.Subject.Credentials()), pasted.ConfigPath)
		switch {
		case errors.As(err, &line):
			f.ConfigError = line
		case err != nil:
			remove()
			return nil, nil, &configError{err}
		}
	}
	check.Gather(f)
	return f, remove, nil
}

// temporaryDir makes a directory that is removed by remove, or when a signal ends the program:
// also where nobody reads its output to the end (SIGPIPE).
func temporaryDir(name string) (dir string, remove func(), err error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	if dir, err = os.MkdirTemp("", name); err != nil {
		signal.Stop(signals)
		return "", nil, err
	}
	removed := sync.OnceFunc(func() { _ = os.RemoveAll(dir) })
	go func() {
		if s, isSignal := <-signals; isSignal {
			removed()
			signal.Reset(s)
			_ = unix.Kill(os.Getpid(), s.(unix.Signal)) // ends as whoever waits expects it
		}
	}()
	return dir, func() {
		removed()
		signal.Stop(signals)
		close(signals)
	}, nil
}

// recognisedText says what was recognised, by what, for the standard error.
func recognisedText(p *pasted.Paste) markup {
	var out strings.Builder
	for _, f := range p.Files {
		_ = printf(&out, "cgdeleg: recognised %s, %s, by %s\n", f.Name, plural(f.Lines(), "line"), brief(f.By))
	}
	for _, name := range p.Unknown {
		_ = printf(&out, "cgdeleg: ignored the file %s, whose name is none that is known\n", name)
	}
	if p.Ignored > 0 {
		_ = printf(&out, "cgdeleg: ignored %s\n", plural(p.Ignored, "other line"))
	}
	return markup(out.String())
}

// brief returns the beginning of a text.
func brief(text string) markup {
	const most = 70
	shown := []rune(visible(text))
	if len(shown) > most {
		return markup(shown[:most]) + "..."
	}
	return markup(shown)
}

// askFor are the files by which more can be told of a thread.
var askFor = []struct{ name, path string }{
	{"mountinfo", "/proc/self/mountinfo"}, {"cgroup", "/proc/self/cgroup"}, {"status", "/proc/self/status"}, {"config", "the container's config"},
	{"subuid", "/etc/subuid"}, {"subgid", "/etc/subgid"}, {"uid_map", "/proc/self/uid_map"}, {"gid_map", "/proc/self/gid_map"}, {"nsswitch.conf", "/etc/nsswitch.conf"},
}

// pastedText says what was read, and what more would tell more.
func pastedText(s screen, p *pasted.Paste) markup {
	text := "Read of what was pasted: " + strings.Join(p.Names(), ", ") + "."
	var missing []string
	for _, ask := range askFor {
		if !slices.Contains(p.Names(), ask.name) {
			missing = append(missing, ask.path)
		}
	}
	if len(missing) > 0 {
		text += " More can be told with: " + strings.Join(missing, ", ") + "."
	}
	const some = 5
	if n := len(p.Unknown); n > some {
		text += fmt.Sprintf(" Ignored: %s and %s.", strings.Join(p.Unknown[:some], ", "), plural(n-some, "other file"))
	} else if n > 0 {
		text += " Ignored: " + strings.Join(p.Unknown, ", ") + "."
	}
	return s.wrap(text, 0) + "\n"
}

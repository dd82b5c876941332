package faults

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/faults/inject"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// seen is what was seen of one login.
type seen struct {
	before, inside, after map[string]string // the application's cgroups
	opened, closed        string            // what PAM returned, "" if that did not come
	openTook, closeTook   time.Duration
	session               string   // CGDELEG_SESSION
	state, left           []string // of user/NAME, in the session and after the close
	said                  []string // the module's lines in the log
	hasEnded              bool     // the application ended by itself
	pid                   int      // its
	result                inject.Result
}

// application is a running pamapp.
type application struct {
	pid   int
	in    *os.File
	lines *bufio.Scanner
	out   *os.File
}

func (a *application) close() {
	_ = a.in.Close()
	_ = a.out.Close()
}

// await reads until a word has answered; false if the application has ended.
func (a *application) await(word string) (answer string, ok bool) {
	for a.lines.Scan() {
		if answer, ok := strings.CutPrefix(a.lines.Text(), word+": "); ok {
			return answer, true
		}
	}
	return "", false
}

func (a *application) resume() { _, _ = fmt.Fprintln(a.in) }

// pipes returns an application's ends of its input and output, and the others.
func pipes() (ends [2]*os.File, a *application, err error) {
	in, toApplication, err := os.Pipe()
	if err != nil {
		return ends, nil, err
	}
	fromApplication, out, err := os.Pipe()
	if err != nil {
		return ends, nil, err
	}
	return [2]*os.File{in, out}, &application{in: toApplication, out: fromApplication, lines: bufio.NewScanner(fromApplication)}, nil
}

// observe runs a login with a fault.
func (r *runs) observe(fault inject.Fault) *seen {
	r.t.Helper()
	log := testbed.LogFromNow(r.t)
	s := &seen{before: testbed.Placement(r.t, os.Getpid())}
	args := []string{testbed.PamappPath(r.t), "syslog", "start=" + r.User + ":" + r.User, "open", "session", "pause", "close", "pause", "end"}
	ends, app, err := pipes()
	if err != nil {
		r.t.Fatal(err)
	}
	defer app.close()
	program := inject.Program{Process: r.Process, Fault: fault, Sees: r.sees, Limit: limit, Args: args, Files: [3]*os.File{ends[0], ends[1], os.Stderr}}
	if r.Counts != nil {
		program.Counts = r.Counts()
	}
	if r.First != nil {
		program.First = r.First()
	}
	var awaitOthers func()
	var end func() inject.Result
	if r.IsServed {
		awaitOthers, end = r.serve(s, program, app, args, ends)
	} else {
		run := inject.Start(program)
		app.pid = <-run.Started
		awaitOthers, end = func() { run.AwaitOthers(app.pid) }, run.Wait
	}
	s.pid = app.pid
	_ = ends[0].Close()
	_ = ends[1].Close()
	r.follow(s, app, awaitOthers)
	s.result = end()
	if s.result.Err != nil {
		r.t.Fatal(s.result.Err)
	}
	testbed.LogFromNow(r.t) // all is read that was logged
	s.said = append(s.said, r.ours(log)...)
	r.renumber(s)
	return s
}

// renumber calls the application's session 0. It is another one where a server has died
// that had made session 0 and moved nobody, so that a worker found that number taken.
func (r *runs) renumber(s *seen) {
	number, err := strconv.Atoi(s.session)
	if !r.IsServed || err != nil || number == 0 {
		return
	}
	own, first := fmt.Sprintf("%s/%d", r.User, number), r.User+"/0"
	s.session = "0"
	for name, at := range s.inside {
		s.inside[name] = strings.Replace(at, own, first, 1)
	}
	for name, at := range s.after {
		s.after[name] = strings.Replace(at, own, first, 1)
	}
	for i, line := range s.state {
		s.state[i] = strings.Replace(line, own, first, 1)
	}
}

// follow looks at the application in its session, and when that is closed.
func (r *runs) follow(s *seen, app *application, awaitOthers func()) {
	var ok bool
	if _, ok = app.await("start"); !ok {
		return
	}
	began := time.Now()
	if s.opened, ok = app.await("open"); !ok {
		return
	}
	s.openTook = time.Since(began)
	if s.session, ok = app.await("session"); !ok {
		return
	}
	s.inside, s.state = placement(app.pid), State(r.User)
	began = time.Now()
	app.resume()
	if s.closed, ok = app.await("close"); !ok {
		return
	}
	s.closeTook = time.Since(began)
	awaitOthers()
	s.after = placement(app.pid)
	app.resume()
	if _, ok = app.await("end"); !ok {
		return
	}
	_, _ = app.await("nothing")
	s.hasEnded = true
	s.left = State(r.User)
}

// placement is testbed.Placement of a process that may have ended.
func placement(pid int) map[string]string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return testbed.ParsePlacement(string(data))
}

var module = regexp.MustCompile(`pam_cgdeleg\(([^:]*):session\): `)

// ours returns the module's lines, and those of nobody: what a dying Go runtime says.
func (r *runs) ours(log *testbed.Log) (said []string) {
	for _, line := range log.All() {
		at := module.FindStringSubmatchIndex(line)
		switch {
		case at != nil && line[at[2]:at[3]] == r.User:
			said = append(said, line[at[1]:])
		case at == nil && !strings.HasPrefix(line, "<"):
			said = append(said, line)
		}
	}
	return said
}

// contents are files whose content a login sets.
var contents = []string{"cgroup.subtree_control", "cpuset.cpus", "cpuset.mems", "pids.max", "memory.max", "memory.limit_in_bytes"}

// State tells what there is of a user in all hierarchies: the directories and their
// owners, the files that are not root's, and what limits are set.
func State(user string) (state []string) {
	for _, h := range testbed.Hierarchies() {
		top := filepath.Join(h.Point, "user")
		_ = filepath.WalkDir(filepath.Join(top, user), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			st := info.Sys().(*syscall.Stat_t)
			name, _ := filepath.Rel(top, path)
			if d.IsDir() || st.Uid != 0 || st.Gid != 0 {
				state = append(state, fmt.Sprintf("%s %s %d:%d", h.Name, name, st.Uid, st.Gid))
			}
			if slices.Contains(contents, d.Name()) {
				data, _ := os.ReadFile(path)
				state = append(state, fmt.Sprintf("%s %s=%s", h.Name, name, strings.TrimSpace(string(data))))
			}
			return nil
		})
	}
	return state
}

// serve starts a server whose calls are spoilt, and an application beside it.
func (r *runs) serve(s *seen, program inject.Program, app *application, args []string, ends [2]*os.File) (end func(), wait func() inject.Result) {
	r.t.Helper()
	said, saying, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	program.Args = []string{testbed.Built(r.t, "cgdeleg"), "serve"}
	program.Files = [3]*os.File{ends[0], saying, saying}
	server := inject.Start(program)
	pid := <-server.Started
	_ = saying.Close()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(testbed.ServeSocket); err == nil {
			break
		}
		if time.Since(begun) > testbed.Patience {
			r.t.Fatal("cgdeleg serve does not listen")
		}
	}
	process, err := os.StartProcess(args[0], args, &os.ProcAttr{Files: []*os.File{ends[0], ends[1], os.Stderr}, Env: os.Environ()})
	if err != nil {
		r.t.Fatal(err)
	}
	app.pid = process.Pid
	end = func() {
		testbed.AwaitDetachedWorkers(r.t) // in the place of a server that is gone
		_ = unix.Kill(pid, unix.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { _ = unix.Kill(pid, unix.SIGKILL) })
		server.AwaitOthers(0)
		kill.Stop()
	}
	return end, func() inject.Result {
		_, _ = process.Wait()
		end()
		for lines := bufio.NewScanner(said); lines.Scan(); {
			s.said = append(s.said, "server: "+lines.Text())
		}
		_ = said.Close()
		_ = os.Remove(testbed.ServeSocket)
		return server.Wait()
	}
}

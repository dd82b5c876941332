package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is a mounted one.
type hierarchy struct {
	point       string
	isV2        bool
	controllers []string
}

// cgroup is a directory of one.
type cgroup struct {
	*hierarchy
	dir string
}

func (c cgroup) at(names ...string) cgroup {
	return cgroup{c.hierarchy, filepath.Join(append([]string{c.dir}, names...)...)}
}

// leaf is where the processes of a session are.
func (c cgroup) leaf() cgroup {
	if c.isV2 {
		return c.at("init.scope")
	}
	return c
}

// user is who attacks.
type user struct {
	uid         int
	name        string
	round       time.Duration
	hierarchies []*hierarchy
	helpers     []*exec.Cmd // own processes, to be caught
	ends        []io.Closer // of their input

	// of the last look
	homes    []cgroup // the cgroups above own sessions
	sessions []cgroup // own ones, in which this process is not
	own      []cgroup // the one in which it is

	undo   []func()                  // what a rest needs
	open   []int                     // descriptors that are held
	deep   map[string]int            // of the deepest cgroup of a session
	made   map[string]int            // how many cgroups grow() has made in a session
	counts map[string]map[string]int // operation: result: how often
	gained map[string]bool
}

func newUser(round time.Duration) (*user, error) {
	who, err := osuser.Current()
	if err != nil {
		return nil, err
	}
	u := &user{uid: os.Getuid(), name: who.Username, round: round, deep: map[string]int{}, made: map[string]int{}, counts: map[string]map[string]int{}, gained: map[string]bool{}}
	if u.uid == 0 {
		return nil, errors.New("root has no need to attack")
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 3 && (f[2] == "cgroup" || f[2] == "cgroup2") {
			u.hierarchies = append(u.hierarchies, &hierarchy{point: f[1], isV2: f[2] == "cgroup2", controllers: strings.Split(f[3], ",")})
		}
	}
	for range 2 {
		cmd := exec.Command("/proc/self/exe", "-sleep")
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return nil, err
		}
		u.helpers, u.ends = append(u.helpers, cmd), append(u.ends, in)
	}
	u.look()
	if len(u.own) == 0 {
		return nil, fmt.Errorf("%s is in no session of its own", u.name)
	}
	return u, nil
}

func (u *user) end() {
	for i, cmd := range u.helpers {
		_ = u.ends[i].Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for _, fd := range u.open {
		_ = unix.Close(fd)
	}
}

// look finds the sessions that there are now.
func (u *user) look() {
	u.homes, u.sessions, u.own = nil, nil, nil
	data, _ := os.ReadFile("/proc/self/cgroup")
	for _, h := range u.hierarchies {
		for _, pattern := range []string{"user/" + u.name + "/*", fmt.Sprintf("user.slice/user-%d.slice/session-*.scope", u.uid)} {
			home := filepath.Join(h.point, filepath.Dir(pattern))
			if _, err := os.Stat(home); err == nil {
				u.homes = append(u.homes, cgroup{h, home})
			}
			dirs, _ := filepath.Glob(filepath.Join(h.point, pattern))
			for _, dir := range dirs {
				var st unix.Stat_t
				if unix.Stat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != u.uid {
					continue
				}
				below := strings.TrimPrefix(dir, h.point)
				if strings.Contains(string(data)+"\n", ":"+below+"\n") || strings.Contains(string(data), ":"+below+"/") {
					u.own = append(u.own, cgroup{h, dir})
				} else {
					u.sessions = append(u.sessions, cgroup{h, dir})
				}
			}
		}
	}
}

// count notes what came of an operation, and tells whether it worked.
func (u *user) count(operation string, err error) bool {
	result := "worked"
	if err != nil {
		result = err.Error()
		if errno := unix.Errno(0); errors.As(err, &errno) {
			result = unix.ErrnoName(errno)
		}
	}
	if u.counts[operation] == nil {
		u.counts[operation] = map[string]int{}
	}
	u.counts[operation][result]++
	return err == nil
}

// never notes an operation that must not work.
func (u *user) never(operation string, err error) {
	if u.count(operation, err) {
		u.gained[operation] = true
	}
}

func (u *user) hasGained() bool { return len(u.gained) > 0 }

// account says what came of all of them.
func (u *user) account() string {
	var out strings.Builder
	for _, operation := range slices.Sorted(maps.Keys(u.counts)) {
		results := u.counts[operation]
		word := ""
		if u.gained[operation] {
			word = "GAINED "
		}
		fmt.Fprintf(&out, "%s%s:", word, operation)
		for _, result := range slices.Sorted(maps.Keys(results)) {
			fmt.Fprintf(&out, " %s %d", result, results[result])
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

// write writes a file of a cgroup, and counts it.
func (u *user) write(c cgroup, file, value string) bool {
	return u.count("write "+file, writeFile(filepath.Join(c.dir, file), value))
}

func writeFile(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// box makes a cgroup in one of v1 or v2.
func (u *user) box(c cgroup, name string) cgroup {
	if err := unix.Mkdir(filepath.Join(c.dir, name), 0o755); !errors.Is(err, unix.EEXIST) {
		u.count("mkdir", err)
	}
	return c.at(name)
}

func processes(c cgroup) (pids []int) {
	data, _ := os.ReadFile(filepath.Join(c.dir, "cgroup.procs"))
	for word := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// catch moves what is in a session, the application and whatever it forks, somewhere else.
func (u *user) catch(from, to cgroup) (caught int) {
	return u.catchBy(from, func(pid int) error { return writeFile(filepath.Join(to.dir, "cgroup.procs"), strconv.Itoa(pid)) })
}

// catchBy is catch, by whatever moves a process. On v2 the controller cpuset may want more
// rights over a process than its user has (cpuset_can_attach; Linux 6.1); but that user
// may turn it off.
func (u *user) catchBy(from cgroup, move func(pid int) error) (caught int) {
	for _, pid := range inhabitants(from) {
		err := move(pid)
		if from.isV2 && errors.Is(err, unix.EPERM) && u.write(from, "cgroup.subtree_control", "-cpuset") {
			err = move(pid)
		}
		if u.count("catch", err) {
			caught++
		}
	}
	return caught
}

// inhabitants are the processes of a session in itself and, on v2, its leaf.
func inhabitants(session cgroup) []int {
	if session.isV2 {
		return append(processes(session), processes(session.leaf())...)
	}
	return processes(session)
}

// free moves all that was caught back into the session.
func (u *user) free(from, session cgroup) {
	for _, pid := range processes(from) {
		u.count("free", writeFile(filepath.Join(session.leaf().dir, "cgroup.procs"), strconv.Itoa(pid)))
	}
}

// later notes what a rest has to do: nothing is to be held then.
func (u *user) later(undo func()) { u.undo = append(u.undo, undo) }

// release does so.
func (u *user) release() {
	for _, undo := range slices.Backward(u.undo) {
		undo()
	}
	u.undo = nil
}

// hold waits for the time of a round.
func (u *user) hold() {
	time.Sleep(u.round)
	u.release()
}

// in returns those sessions, without this process, that are on a version and have a controller;
// "" asks for none.
func (u *user) in(isV2 bool, controller string) (all []cgroup) {
	for _, c := range u.sessions {
		if c.isV2 == isV2 && (controller == "" || slices.Contains(c.controllers, controller)) {
			all = append(all, c)
		}
	}
	return all
}

// others returns the processes of other users, with all their user IDs.
func (u *user) others() map[int]string {
	all := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if uids := uidsOf(pid); err == nil && uids != "" && !strings.Contains(" "+uids+" ", fmt.Sprintf(" %d ", u.uid)) {
			all[pid] = uids
		}
	}
	return all
}

// uidsOf returns the real, effective, saved and file system user ID; "" of one that has ended.
func uidsOf(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "\nUid:\t")
	uids, _, _ := strings.Cut(rest, "\n")
	return strings.ReplaceAll(uids, "\t", " ")
}

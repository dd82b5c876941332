package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file below dir.
func put(t *testing.T, dir, name, content string, mode fs.FileMode) {
	t.Helper()
	file := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	for at := filepath.Dir(file); len(at) > len(filepath.Clean(dir)); at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755)) // whatever the umask
	}
	must(t, os.WriteFile(file, []byte(content), 0o600))
	must(t, os.Chmod(file, mode))
}

// renamed copies a recorded machine whose user is called something else.
func renamed(t *testing.T, machine, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	from := os.DirFS("check/testdata/" + machine)
	rd := redaction{names: map[string]string{"alice": name}}
	must(t, fs.WalkDir(from, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, file)
		put(t, dir, rd.text(file), rd.text(string(data)), 0o644)
		return err
	}))
	return dir
}

// recordOf records a recorded machine, as if it were the running one.
func recordOf(t *testing.T, dir, container string, more ...*check.Check) *recorder {
	t.Helper()
	what := target{container: container, nested: 1}
	var notes machine.Notes
	f, err := what.facts(machine.Recorded(dir).Noting(&notes))
	must(t, err)
	defer f.Close()
	check.Run(f, append(check.All(), more...), nil)
	r := newRecorder(f, &notes)
	r.root = dir
	r.record()
	r.add(versionsFile, recordVersions(f))
	return r
}

func written(t *testing.T, r *recorder, rd *redaction) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "r")
	to, err := newReportDir(dir)
	must(t, err)
	defer func() { must(t, to.Close()) }()
	_, err = r.writeTo(to, rd)
	must(t, err)
	return dir
}

func checkOf(t *testing.T, dir, container string) string {
	t.Helper()
	args := []string{"--root", dir, "check", "--json"}
	if container != "" {
		args = append(args, "--container", container)
	}
	var out, errOut strings.Builder
	if code := run(args, &out, &errOut); code > 1 {
		t.Fatalf("check ends with %d: %s", code, errOut.String())
	}
	return out.String()
}

// The check of a report says what the check of the machine said, and the check
// of a redacted one says it with other names, whatever the user is called.
func TestReportChecksAlike(t *testing.T) {
	usual := []string{"alice", "lxc"}
	hostile := append([]string{
		"bob", "user1", "user", "proc", "session", "home", "sshd", "su", "memory", "cgroup", "Name", "Uid", "optional", "common-session", "debian", "ID",
		"c", "u", "cap", "stat", "versions", "pam_cgdeleg.so", "init.scope", "config", "slice", "name", "systemd", "domain", "max", "c1", "lxc.idmap",
	}, usual...)
	for _, test := range []struct {
		machine, container string
		names              []string
	}{
		{"systemd-v2", "c1", append([]string{"user", "session", "domain", "max", "slice", "init.scope", "memory", "debian", "c1", "lxc.idmap"}, usual...)},
		{"ubuntu1604", "", hostile},
		{"systemd-v2-no-dropin", "c1", usual}, {"systemd-hybrid", "c1", usual}, {"no-systemd-v2", "c1", usual}, {"no-systemd-hybrid", "c1", usual},
		{"alpine-openrc-v2", "", usual}, {"docker-no-cgroupns", "", usual}, {"in-lxc-v1", "", usual}, {"in-lxc-v2", "", usual},
	} {
		for _, name := range test.names {
			t.Run(test.machine+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir := renamed(t, test.machine, name)
				r := recordOf(t, dir, test.container)
				want := checkOf(t, dir, test.container)
				if name == "alice" {
					requireAlike(t, checkOf(t, written(t, r, &redaction{}), test.container), want)
				}
				rd, kept := r.redaction()
				got := checkOf(t, written(t, r, rd), rd.text(test.container))
				if !requireAlike(t, rd.text(got), rd.text(want)) { // a check's own words may be names too
					t.Errorf("redacted; kept %q", kept)
				}
			})
		}
	}
}

// requireAlike compares two texts by line, as far as the first that differs.
func requireAlike(t *testing.T, got, want string) bool {
	t.Helper()
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Errorf("line %d: got\n%s\nwant\n%s", i+1, strings.Join(gotLines[max(0, i-5):i+1], "\n"), wantLines[i])
			return false
		}
	}
	return got == want
}

// Whatever a check goes by is in the report, in files that no list names.
func TestReportIsWhatCheckReads(t *testing.T) {
	for _, test := range []struct {
		name, machine string
		files         map[string]string
	}{
		{"a drop-in of another name", "systemd-v2-no-dropin", map[string]string{
			"etc/systemd/system/session-.scope.d/override.conf": "[Scope]\nDelegate=cpu memory pids\n",
		}},
		{"a profile without a line", "no-systemd-v2", map[string]string{
			"usr/share/pam-configs/cgdeleg": "Name: cgroups\n",
			"etc/pam.d/common-session":      "session required pam_unix.so\n",
		}},
		{"a realtime process, and cpu off", "no-systemd-v2", map[string]string{
			"sys/fs/cgroup/user/alice/0/cgroup.controllers": "memory pids\n",
			"proc/77/stat": machine.FormatProcess(machine.Process{PID: 77, Name: "audio (x)", Parent: 1, Policy: 1}),
			"proc/78/stat": machine.FormatProcess(machine.Process{PID: 78, Name: "quiet", Parent: 1}),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := renamed(t, test.machine, "alice")
			without := checkOf(t, dir, "")
			for name, content := range test.files {
				put(t, dir, name, content, 0o644)
			}
			want := checkOf(t, dir, "")
			if want == without {
				t.Fatal("these files make no difference")
			}
			requireAlike(t, checkOf(t, written(t, recordOf(t, dir, ""), &redaction{}), ""), want)
		})
	}
}

// A check that reads another file needs no second place. Of what nobody asked for a
// report does not tell whether it was there.
func TestReportOfANewCheck(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	put(t, dir, "etc/some-new-file", "new\n", 0o644)
	put(t, dir, "etc/new.d/a", "a\n", 0o644)
	put(t, dir, "etc/new.d/b", "b\n", 0o644)
	put(t, dir, "etc/other-file", "other\n", 0o644)
	says := func(m machine.Machine) string {
		data, err := m.ReadFile("/etc/some-new-file")
		names, dirErr := m.ReadDir("/etc/new.d")
		b, bErr := m.ReadFile("/etc/new.d/b")
		return fmt.Sprintf("%q %v %q %v %q %v %v %v", data, err, names, dirErr, b, bErr, m.Find("/etc/no-new-file"), m.Find("/lib/new.so/."))
	}
	another := check.New("another", "There is a new file", func(f *check.Facts) check.Result {
		return check.Result{Status: check.OK, Says: says(f.Machine)}
	})
	report := machine.Recorded(written(t, recordOf(t, dir, "", another), &redaction{}))
	if got, want := says(report), says(machine.Recorded(dir)); got != want || !strings.HasPrefix(got, `"new\n" <nil> ["a" "b"] <nil> "b\n"`) {
		t.Errorf("it says %s, of the machine %s", got, want)
	}
	for path, want := range map[string]machine.Answer{
		"/etc/no-new-file": machine.Absent, "/lib/new.so": machine.Absent, "/etc/some-new-file": machine.Found, "/etc/new.d/a": machine.Found,
		"/etc/other-file": machine.Unknown, "/etc/new.d.x": machine.Unknown,
	} {
		if got := report.Find(path); got != want {
			t.Errorf("%s: it answers %d, want %d", path, got, want)
		}
	}
	if _, err := report.ReadFile("/etc/new.d/a"); !errors.Is(err, machine.ErrNotRecorded) {
		t.Errorf("of a file that was only seen: %v", err)
	}
}

// What others do on the machine is nobody's business.
func TestReportOfOthers(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	put(t, dir, "sys/fs/cgroup/user/alice/0/cgroup.controllers", "memory pids\n", 0o644)
	realtime := machine.Process{PID: 77, Name: "audio", Parent: 76, Group: 75, Started: time.Hour, Policy: 2}
	quiet := machine.Process{PID: 78, Name: "private", Parent: 1}
	for _, p := range []machine.Process{realtime, quiet} {
		of := fmt.Sprintf("proc/%d/", p.PID)
		put(t, dir, of+"stat", machine.FormatProcess(p), 0o444)
		put(t, dir, of+"status", "Name:\tprivate\nUid:\t1001 1001 1001 1001\n", 0o444)
		put(t, dir, of+"cgroup", "0::/user/dave/0\n", 0o444)
		put(t, dir, of+"cmdline", "private\x00", 0o444)
	}
	put(t, dir, "sys/fs/cgroup/user/dave/0/cgroup.procs", "78\n", 0o644)
	put(t, dir, "run/systemd/sessions/c1", "UID=1001\nLEADER=78\nREMOTE_HOST=private\n", 0o644)
	nosy := check.New("nosy", "All is known", func(f *check.Facts) check.Result {
		m := f.Machine
		for _, file := range []string{"/proc/78/status", "/proc/77/cgroup", "/proc/78/cmdline", "/sys/fs/cgroup/user/dave/0/cgroup.procs", "/run/systemd/sessions/c1"} {
			_, _ = m.ReadFile(file)
			_, _ = m.Stat(file)
			_ = m.Find(file + "x")
		}
		_, _ = m.ReadDir("/sys/fs/cgroup/user")
		return check.Result{Status: check.OK}
	})
	to := written(t, recordOf(t, dir, "", nosy), &redaction{})
	must(t, filepath.WalkDir(to, func(file string, d fs.DirEntry, err error) error {
		must(t, err)
		text := file[len(to):]
		if !d.IsDir() {
			data, err := os.ReadFile(file)
			must(t, err)
			text += " " + string(data)
		}
		for _, word := range []string{"private", "dave", "proc/78", "proc/77/c"} {
			if strings.Contains(text, word) {
				t.Errorf("%s tells of %s", file[len(to):], word)
			}
		}
		return nil
	}))
	p, err := machine.Recorded(to).Process(77)
	if want := (machine.Process{PID: 77, Name: "audio", Policy: 2}); err != nil || p != want {
		t.Errorf("of the realtime process: %+v, %v; want %+v", p, err, want)
	}
	if data, err := os.ReadFile(filepath.Join(to, "run/systemd/sessions/c1")); err != nil || string(data) != "UID=1001\nLEADER=78\n" {
		t.Errorf("of elogind's session: %q, %v", data, err)
	}
}

// Whoever has fusermount can make mountinfo as large as one likes.
func TestReportOfALargeMountinfo(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	data, err := os.ReadFile(filepath.Join(dir, "proc/self/mountinfo"))
	must(t, err)
	other := "50 1 0:50 / /home/bob/" + strings.Repeat(`\134`, 3750) + " rw - fuse.x x rw\n"
	put(t, dir, "proc/self/mountinfo", strings.Repeat(other, 100)+string(data)+strings.Repeat(other, 100), 0o444)
	r := recordOf(t, dir, "")
	to := written(t, r, &redaction{})
	requireAlike(t, checkOf(t, to, ""), checkOf(t, dir, ""))
	if data, err = os.ReadFile(filepath.Join(to, "proc/self/mountinfo")); err != nil || len(data) == 0 || strings.Contains(string(data), "bob") {
		t.Errorf("recorded %.200q, %v", data, err)
	}
	if says := r.leftOut(); len(says) > 0 {
		t.Errorf("it says %q", says)
	}
}

func TestRedactionIsThorough(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	put(t, dir, "etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\ncarol:x:1001:1001::/home/carol:/bin/sh\nlxc:x:1002:1002::/:/bin/sh\ndaemon:x:2:2::/:/bin/sh\n", 0o644)
	put(t, dir, "etc/pam.d/carols", "# carol and daemon wrote this for alice.\nsession optional pam_x.so user=carol\n", 0o644)
	r := recordOf(t, dir, "c1")
	rd, kept := r.redaction()
	if !slices.Equal(kept, []string{"lxc"}) {
		t.Errorf("kept %q", kept)
	}
	to := written(t, r, rd)
	must(t, filepath.WalkDir(to, func(file string, d fs.DirEntry, err error) error {
		must(t, err)
		text := file[len(to):]
		if !d.IsDir() {
			data, err := os.ReadFile(file)
			must(t, err)
			text += "\n" + string(data)
		}
		for word := range strings.FieldsFuncSeq(text, isSeparator) {
			if word := strings.Trim(word, "."); word == "alice" || word == "carol" || word == "bob" {
				t.Errorf("%s names %s", file[len(to):], word)
			}
		}
		return nil
	}))
	data, err := os.ReadFile(filepath.Join(to, "etc/pam.d/carols"))
	must(t, err)
	if !strings.Contains(string(data), "and daemon wrote") {
		t.Errorf("a system's user was replaced: %s", data)
	}
}

func TestRedactionOfText(t *testing.T) {
	rd := redaction{names: map[string]string{"al": "user1", "bo-b": "user2", "j.d": "user3", `W\x`: "user4", "é": "user5"}, odd: strings.NewReplacer(`W\x`, "user4")}
	for _, test := range []struct{ name, in, want string }{
		{"alone", "al", "user1"},
		{"between separators", "/al/al:al,al al@h=al\n", "/user1/user1:user1,user1 user1@h=user1\n"},
		{"part of a word", "alx xal al_ al.conf al-x", "alx xal al_ al.conf al-x"},
		{"at the end of a sentence", "of al. And al-", "of user1. And user1-"},
		{"name with a dash or a dot", "/bo-b/j.d/j", "/user2/user3/j"},
		{"name with a separator", `(W\x)`, "(user4)"},
		{"not ASCII", "/é/éa", "/user5/éa"},
		{"not UTF-8", "\xff/al\xff/al", "\xff/al\xff/user1"},
		{"nothing", "", ""},
	} {
		if got := rd.text(test.in); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// Nobody is called as another one is, however users are called.
func TestRedactionOfOddNames(t *testing.T) {
	for _, test := range []struct {
		name     string
		names    []string
		in, want string
	}{
		{"one that begins as another", []string{"a b", "a b c"}, "a b c, a b", "user2, user1"},
		{"one that is called as another is to be", []string{"alice", "user1"}, "alice user1", "user3 user2"},
		{"of more than one word, and the same", []string{"a b", "user1"}, "a b user1", "user3 user2"},
		{"with a dot at its end", []string{"al", "al."}, "al. al.- al- al", "user2 user2- user1- user1"},
	} {
		if got := newRedaction(test.names, nil).text(test.in); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// Of an application's words only those are kept that say what kind of login it
// is.
func TestReportKeepsNoCommands(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	const pid = "146" // the login's application
	status, err := os.ReadFile(filepath.Join(dir, "proc", pid, "status"))
	must(t, err)
	put(t, dir, "proc/"+pid+"/status", strings.Replace(string(status), "sshd", "su", 1), 0o644)
	put(t, dir, "proc/"+pid+"/cmdline", "su\x00bob\x00-l\x00-c\x00mysql --password=hunter2\x00-\x00", 0o644)
	to := written(t, recordOf(t, dir, ""), &redaction{})
	data, err := os.ReadFile(filepath.Join(to, "proc", pid, "cmdline"))
	must(t, err)
	if !strings.HasPrefix(string(data), "su\x00") || !strings.HasSuffix(string(data), "\x00-l\x00-\x00") || strings.ContainsAny(string(data), ": =") {
		t.Errorf("kept %q", data)
	}
}

// Of files that hold more than a check asks for no more is kept.
func TestReportKeepsWhatMatters(t *testing.T) {
	for _, test := range []struct{ name, data, want string }{
		{"/proc/cmdline", "root=/dev/vda luks.key=hunter2 cgroup_disable=memory systemd.unified_cgroup_hierarchy=0\n", "cgroup_disable=memory systemd.unified_cgroup_hierarchy=0\n"},
		{"/etc/ssh/sshd_config", "Port 2222\nUsePAM=no\n\tinclude x\nAllowUsers carol\nMatch User carol\n", "\nUsePAM=no\n\tinclude x\n\nMatch x\n"},
		{"/etc/ssh/sshd_config.d/a.conf", "usepam yes\nDenyUsers carol\n", "usepam yes\n\n"},
		{"/etc/nsswitch.conf", "passwd: files\nsubid: sss\n", "subid: sss\n"},
		{"/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\ncarol veth lxcbr0 10\n@people veth lxcbr0 2\n", "alice veth lxcbr0 10\n@people veth lxcbr0 2\n"},
	} {
		r := &recorder{subject: check.Subject{Name: "alice"}}
		if got := r.relevant(test.name, test.data); got != test.want {
			t.Errorf("%s: kept %q, want %q", test.name, got, test.want)
		}
	}
}

// ownFiles makes a machine whose subject has laid out its files to get at others'.
func ownFiles(t *testing.T) *recorder {
	t.Helper()
	dir := t.TempDir()
	r := &recorder{
		machine: machine.Recorded(dir), root: dir, seen: map[string]bool{}, notes: &machine.Notes{},
		subject: check.Subject{Name: "alice", UID: os.Getuid() + 1, GID: os.Getgid() + 1, Home: "/home/alice"},
	}
	for name, mode := range map[string]fs.FileMode{
		"etc/shadow": 0o600, "etc/open": 0o644, "root/private/open": 0o644, "home/alice/open": 0o644, "home/alice/secret": 0o640,
		"usr/lib/os-release": 0o644, "proc/1/cmdline": 0o444, "srv/open": 0o644,
	} {
		put(t, dir, name, "content of "+name, mode)
	}
	must(t, os.Chmod(filepath.Join(dir, "root/private"), 0o700))
	for link, to := range map[string]string{
		"home/alice/shadow": "/etc/shadow", "home/alice/link": "../../etc/open", "home/alice/dir": "../../root/private", "home/alice/same": "open",
		"etc/os-release": "../usr/lib/os-release", "etc/toshadow": "shadow", "etc/toprivate": "../root/private/open", "srv/toprivate": "../root/private",
		"srv/toproc": "../proc/1/cmdline",
	} {
		must(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	must(t, unix.Mkfifo(filepath.Join(dir, "home/alice/pipe"), 0o666))
	must(t, os.Chmod(filepath.Join(dir, "home/alice/pipe"), 0o666))
	put(t, dir, "home/alice/exact", strings.Repeat("x", maxReportFile), 0o644)
	put(t, dir, "home/alice/large", strings.Repeat("x", maxReportFile+1), 0o644)
	return r
}

func TestReportShows(t *testing.T) {
	r := ownFiles(t)
	for _, test := range []struct {
		name, path string
		chosen     bool
		err        error
	}{
		{"a file", "/home/alice/open", true, nil},
		{"as large as may be", "/home/alice/exact", true, nil},
		{"too large", "/home/alice/large", true, errLarge},
		{"a file that only its owner and group may read", "/home/alice/secret", true, errSecret},
		{"a link to a secret", "/home/alice/shadow", true, errLink},
		{"a link to what anybody may read", "/home/alice/link", true, errLink},
		{"a link beside", "/home/alice/same", true, errLink},
		{"a directory that is a link", "/home/alice/dir/open", true, errLink},
		{"a pipe", "/home/alice/pipe", true, errSpecial},
		{"a directory", "/home/alice", true, errSpecial},
		{"nothing", "/home/alice/none", true, fs.ErrNotExist},
		{"a file that is no directory", "/home/alice/open/x", true, unix.ENOTDIR},
		{"an include of a secret", "/etc/shadow", true, errSecret},
		{"an include in a directory of others", "/root/private/open", true, errHidden},
		{"an include that a link leads there", "/srv/toprivate/open", true, errHidden},
		{"an include of what anybody may read", "/srv/open", true, nil},
		{"an include of the kernel's", "/proc/1/cmdline", true, errKernel},
		{"an include that a link leads to the kernel's", "/srv/toproc", true, errKernel},
		{"dots", "/srv/../proc/1/cmdline", true, errKernel},
		{"the system's link", "/etc/os-release", false, nil},
		{"the system's link to a secret", "/etc/toshadow", false, errSecret},
		{"the system's link to a directory of others", "/etc/toprivate", false, errHidden},
		{"the kernel's own", "/proc/1/cmdline", false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			read := r.read
			if test.chosen {
				read = r.readOwn
			}
			data, err := read(test.path)
			if !errors.Is(err, test.err) || (data == "") != (test.err != nil) {
				t.Errorf("got %.50q, %v; want %v", data, err, test.err)
			}
		})
	}
	r.subject.UID = os.Getuid()
	for _, file := range []string{"/home/alice/secret", "/etc/shadow", "/root/private/open"} {
		if _, err := r.readOwn(file); err != nil {
			t.Errorf("%s is the subject's own, and %v", file, err)
		}
	}
}

// Below the home directory there is nothing of interest but LXC's lxc.conf, keys of
// podman's, and what a container's configuration consists of.
func TestReportOfHome(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	home := "home/alice/"
	conf := filepath.Join(dir, home, ".local/share/lxc/c1/config")
	data, err := os.ReadFile(conf)
	must(t, err)
	put(t, dir, home+".config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n", 0o644)
	put(t, dir, home+".config/lxc/default.conf", "lxc.net.0.type = empty\n", 0o644)
	put(t, dir, home+".config/lxc/notes", "private\n", 0o644)
	put(t, dir, "versions", "lxc 5.0.2\npodman 4.3.1\ncrun 1.8.1\n", 0o644)
	put(t, dir, "usr/bin/slirp4netns", "", 0o755)
	put(t, dir, "usr/bin/conmon", "", 0o755)
	put(t, dir, home+".config/containers/containers.conf", "[containers]\nenv = [\"TOKEN=secret\"]\n[engine]\n  cgroup_manager = \"cgroupfs\"\n", 0o644)
	put(t, dir, home+"included.conf", "# nothing\n", 0o644)
	put(t, dir, home+"more/a.conf", "# nothing\nlxc.include = /home/alice/deeper\n", 0o644)
	put(t, dir, home+"more/b.txt", "private\n", 0o644)
	put(t, dir, home+"deeper", "", 0o644)
	put(t, dir, home+"empty/"+machine.DirectoryMark, "", 0o644)
	put(t, dir, home+".local/share/lxc/c1/config", string(data)+
		"lxc.include = /home/alice/included.conf\nlxc.include = \"/home/alice/more\"\nlxc.include = /home/alice/empty\n", 0o644)
	r := recordOf(t, dir, "c1")
	var got []string
	for _, f := range r.files {
		if name, is := strings.CutPrefix(f.name, "/"+home); is {
			got = append(got, name)
		}
		if strings.Contains(f.data, "secret") {
			t.Errorf("%s has more than the line that is of interest:\n%s", f.name, f.data)
		}
	}
	slices.Sort(got)
	want := []string{".config/containers/containers.conf", ".config/lxc/lxc.conf", ".local/share/lxc/c1/config", "deeper", "empty/.recorded", "included.conf", "more/.recorded", "more/a.conf"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	requireAlike(t, checkOf(t, written(t, r, &redaction{}), "c1"), checkOf(t, dir, "c1"))
}

// Of podman's files and of a bundle's the report has what the checks read, also of those
// that are not understood, and check says the same of it.
func TestReportOfRuntimes(t *testing.T) {
	const home = "home/alice/"
	for name, test := range map[string]struct {
		conf, store, override, bundle string
		says                          []string // names of failed checks
	}{
		"well": {"[containers]\nenv = [\"TOKEN=secret\"]\n", "[storage]\ndriver = \"overlay\"\n# secret\n", "# secret\n",
			`{"process": {"env": ["TOKEN=secret"]}, "root": {"path": "r"}, "linux": {"cgroupsPath": "/user/alice/0/c", "namespaces": [{"type": "user"}]}}`, []string{"bundle-userns"}},
		"asked for": {"[engine]\nruntime = \"nosuch\"\n# secret\n", "[storage]\ndriver = \"zfs\"\n", "[containers]\ncgroups = \"on\"\n",
			`{"process": {}, "root": {"path": "r"}, "linux": {"resources": {"unified": {"memory.max": "1", "a/b": "secret"}}}}`, []string{"podman-runtime", "podman-storage", "bundle-limits"}},
		"not understood":                 {"[containers]\nenv = [\"TOKEN=secret\"\n", "[storage]\n", "", `{"process": {"env": ["TOKEN=secret"]`, []string{"podman-config", "bundle"}},
		"storage.conf is not understood": {"", "secret\n", "", `{"process": {}, "root": {"path": 3}, "secret": 1}`, []string{"podman-config", "bundle"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := renamed(t, "no-systemd-v2", "alice")
			put(t, dir, "versions", "lxc 5.0.2\npodman 5.4.2\ncrun 1.21\n", 0o644)
			put(t, dir, "usr/bin/pasta", "", 0o755)
			put(t, dir, "usr/bin/conmon", "", 0o755)
			put(t, dir, "usr/lib/podman/netavark", "", 0o755)
			put(t, dir, "variables", "CONTAINERS_CONF_OVERRIDE /home/alice/my.conf\nCONTAINERS_STORAGE_CONF /home/alice/s.conf\n", 0o644)
			put(t, dir, home+".config/containers/containers.conf", test.conf, 0o644)
			put(t, dir, home+"s.conf", test.store, 0o644)
			put(t, dir, home+"my.conf", test.override, 0o644)
			put(t, dir, home+"b/config.json", test.bundle, 0o644)
			what := target{bundle: "/home/alice/b", nested: 1}
			var notes machine.Notes
			f, err := what.facts(machine.Recorded(dir).Noting(&notes))
			must(t, err)
			defer f.Close()
			check.Run(f, check.All(), nil)
			r := newRecorder(f, &notes)
			r.root = dir
			r.record()
			r.add(versionsFile, recordVersions(f))
			r.add(variablesFile, recordVariables(f))
			for _, file := range r.files {
				if strings.Contains(file.data, "secret") && !strings.Contains(test.bundle, "a/b") {
					t.Errorf("%s has more than the checks read:\n%s", file.name, file.data)
				}
			}
			want, got := statusesOf(t, dir), statusesOf(t, written(t, r, &redaction{}))
			if got != want {
				t.Errorf("the report says\n%s\nwant\n%s", got, want)
			}
			for _, name := range test.says {
				if !strings.Contains(want, " "+name+" failed: ") {
					t.Errorf("no failure of %s:\n%s", name, want)
				}
			}
		})
	}
}

// statusesOf returns what check says of podman and of the bundle, without where it saw it:
// of files that are not understood a report has others.
func statusesOf(t *testing.T, dir string) string {
	t.Helper()
	what := target{bundle: "/home/alice/b", nested: 1}
	f, err := what.facts(machine.Recorded(dir))
	must(t, err)
	defer f.Close()
	var out strings.Builder
	for _, finding := range check.Run(f, check.All(), nil) {
		if strings.HasPrefix(finding.Name, "podman-") || strings.HasPrefix(finding.Name, "bundle") {
			fmt.Fprintf(&out, " %s %s: %s\n", finding.Name, finding.Status, finding.Says)
		}
	}
	return out.String()
}

func TestReportIsBounded(t *testing.T) {
	r := ownFiles(t)
	for range 100 {
		r.add("/x", strings.Repeat("x", maxReportFile))
	}
	for range 10 {
		r.seenAt("/")
	}
	if r.size > maxReport || len(r.files) > maxReport/maxReportFile || !r.isFull {
		t.Errorf("%d bytes in %d files", r.size, len(r.files))
	}
	if says := r.leftOut(); len(says) != maxLeftOut+1 || !strings.HasPrefix(says[0], "/x: the report is full") || !strings.HasSuffix(says[maxLeftOut], " more") {
		t.Errorf("it says %q", says)
	}
	r = ownFiles(t)
	for range maxReport / entryCost {
		r.add("/x", "") // small ones take room as well
	}
	r.add("/y", "")
	if !r.isFull {
		t.Error("any number of empty files")
	}
}

// What is recorded stays in the report's directory, and is its maker's alone.
func TestReportWritesInside(t *testing.T) {
	base := t.TempDir()
	to, err := newReportDir(filepath.Join(base, "r"))
	must(t, err)
	defer func() { must(t, to.Close()) }()
	must(t, os.MkdirAll(filepath.Join(base, "outside"), 0o755))
	must(t, os.Symlink("../outside", filepath.Join(base, "r/out")))
	must(t, os.Symlink("../outside/file", filepath.Join(base, "r/file")))
	must(t, os.Symlink("in", filepath.Join(base, "r/inlink")))
	for _, name := range []string{"../x", "/../../x", "a/../../x", "/out/x", "/file", "/inlink", "/"} {
		_ = writeNew(to, name, "content")
	}
	names, err := os.ReadDir(filepath.Join(base, "outside"))
	must(t, err)
	if len(names) > 0 {
		t.Errorf("written outside: %v", names)
	}
	for _, file := range []string{"x", "r/in"} {
		if _, err := os.Lstat(filepath.Join(base, file)); err == nil {
			t.Errorf("%s was written", file)
		}
	}
	must(t, writeNew(to, "/d/e/f", "content"))
	for file, want := range map[string]fs.FileMode{"r": 0o700, "r/d": 0o700, "r/d/e": 0o700, "r/d/e/f": 0o600, "r/x": 0o600} {
		if info, err := os.Lstat(filepath.Join(base, file)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if err := writeNew(to, "/d/e/f", "other"); !os.IsExist(err) {
		t.Errorf("written twice: %v", err)
	}
}

func TestReportDirIsNew(t *testing.T) {
	base := t.TempDir()
	must(t, os.Mkdir(filepath.Join(base, "there"), 0o755))
	must(t, os.Symlink("there", filepath.Join(base, "link")))
	must(t, os.Symlink("nothing", filepath.Join(base, "dangling")))
	for _, name := range []string{"there", "link", "dangling", "none/r", ".", "there/.", "there/.."} {
		if dir, err := newReportDir(filepath.Join(base, "x")[:len(base)+1] + name); err == nil {
			must(t, dir.Close())
			t.Errorf("%s is taken", name)
		}
	}
	dir, err := newReportDir(base + "/new/")
	must(t, err)
	defer func() { must(t, dir.Close()) }()
	must(t, os.WriteFile(filepath.Join(base, "new/x"), nil, 0o600))
	if isOurs(dir) == nil {
		t.Error("a directory that is not empty is none of ours")
	}
	must(t, os.Remove(filepath.Join(base, "new/x")))
	must(t, os.Chmod(filepath.Join(base, "new"), 0o755))
	if isOurs(dir) == nil {
		t.Error("a directory that others may read is none of ours")
	}
}

func TestReportKeepsLinesOfMemoryStat(t *testing.T) {
	const data = "anon 1\nfile 2\ninactive_anon 3\ninactive_file 4\ntotal_inactive_file 5\n"
	r := &recorder{}
	if got := r.relevant("/sys/fs/cgroup/x/memory.stat", data); got != "inactive_file 4\ntotal_inactive_file 5\n" {
		t.Errorf("got %q", got)
	}
	if got := r.relevant("/sys/fs/cgroup/x/cgroup.stat", data); got != data {
		t.Errorf("got %q", got)
	}
}

// What the kernel said of user namespaces under a filter of system calls is in the report, and
// without a filter nobody asks.
func TestReportOfFilter(t *testing.T) {
	for name, test := range map[string]struct {
		machine, said, want string // what the kernel says, and the report has
	}{
		"refused":   {"docker-seccomp-leaf", "user-namespaces refused\n", "user-namespaces refused\n"},
		"allowed":   {"docker-seccomp-leaf", "user-namespaces allowed\n", "user-namespaces allowed\n"},
		"no filter": {"docker-masked-proc", "user-namespaces refused\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := machinetest.Copy(t, "check/testdata/tried/"+test.machine)
			put(t, dir, "versions", test.said, 0o644)
			m := machine.Recorded(dir)
			f := &check.Facts{Machine: m, System: systemOf(m)}
			var err error
			if f.Subject, err = check.Caller(m); err != nil {
				t.Fatal(err)
			}
			check.Gather(f)
			defer f.Close()
			if got := recordVersions(f); got != test.want {
				t.Errorf("the report has %q, want %q", got, test.want)
			}
			got := check.Run(f, []*check.Check{check.ByName("userns")}, nil)[0]
			if isSaid := strings.Contains(got.Says, "forbids user namespaces"); isSaid != (name == "refused") {
				t.Errorf("check says %q", got.Says)
			}
		})
	}
}

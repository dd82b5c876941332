package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStatOfARecordedMachine(t *testing.T) {
	dir := t.TempDir()
	lines := "104755 0 0 cap /usr/bin/newuidmap\n040755 1000 1001 - /sys/fs/cgroup/user/with space/0\n040755 0 0 - /0\nnonsense /bad\n" +
		"100755 0 0 cap=c0 /caps\n104755 0 0 nosuid /nosuid\n104755 0 0 cap=1ffffffffff,nosuid /both\n040700 0 0 search=100000:2147483647 /acl\n" +
		"040700 0 0 later,nosuid,later=1 /later\n100755 0 0 cap=x /badcap\n040700 0 0 search=1:-1 /badsearch\n100644 -1 0 - /baduid\n9 0 0 - /badmode\n"
	if err := os.WriteFile(filepath.Join(dir, StatFile), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "content"), nil, 0o644))
	for name, test := range map[string]struct {
		path string
		want Stat
		err  error
	}{
		"set-user-ID, capable":      {path: "/usr/bin/newuidmap", want: Stat{Mode: unix.S_IFREG | 0o4755, Capable: true, Capabilities: AllCapabilities}},
		"these capabilities":        {path: "/caps", want: Stat{Mode: unix.S_IFREG | 0o755, Capable: true, Capabilities: 0xc0}},
		"mount without set-user-ID": {path: "/nosuid", want: Stat{Mode: unix.S_IFREG | 0o4755, NoSetUID: true}},
		"two flags":                 {path: "/both", want: Stat{Mode: unix.S_IFREG | 0o4755, Capable: true, Capabilities: 1<<41 - 1, NoSetUID: true}},
		"an ACL":                    {path: "/acl", want: Stat{Mode: unix.S_IFDIR | 0o700, Searchers: []int{100000, 2147483647}}},
		"flags of a later version":  {path: "/later", want: Stat{Mode: unix.S_IFDIR | 0o700, NoSetUID: true}},
		"malformed capabilities":    {path: "/badcap", err: unix.EINVAL},
		"malformed ACL":             {path: "/badsearch", err: unix.EINVAL},
		"negative owner":            {path: "/baduid", err: unix.EINVAL},
		"mode that is not octal":    {path: "/badmode", err: unix.EINVAL},
		"directory, a space in it":  {path: "/sys/fs/cgroup/user/with space/0", want: Stat{Mode: unix.S_IFDIR | 0o755, UID: 1000, GID: 1001}},
		"end of another's path":     {path: "/0", want: Stat{Mode: unix.S_IFDIR | 0o755}},
		"absent":                    {path: "/space/0", err: unix.ENOENT},
		"its content alone":         {path: "/content", err: ErrNotRecorded},
		"malformed line":            {path: "/bad", err: unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Recorded(dir).Stat(test.path)
			if !reflect.DeepEqual(got, test.want) || !errors.Is(err, test.err) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, test.want, test.err)
			}
			var pathErr *fs.PathError
			if err != nil && (!errors.As(err, &pathErr) || pathErr.Path != test.path) {
				t.Errorf("the error %v does not name the path", err)
			}
		})
	}
	if _, err := Recorded(t.TempDir()).Stat("/etc"); !errors.Is(err, ErrNotRecorded) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without %s: got %v, want ErrNotRecorded", StatFile, err)
	}
}

func TestStatOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	want := Stat{Mode: unix.S_IFDIR | 0o711, UID: os.Getuid(), GID: os.Getgid()}
	if got, err := (Machine{}).Stat(dir); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := (Machine{}).Stat(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ENOENT", err)
	}
}

func TestGives(t *testing.T) {
	for name, test := range map[string]struct {
		st   Stat
		want bool
	}{
		"it does":             {Stat{Capabilities: 1 << unix.CAP_SETUID}, true},
		"another":             {Stat{Capabilities: 1 << unix.CAP_SETGID}, false},
		"not on this mount":   {Stat{Capabilities: AllCapabilities, NoSetUID: true}, false},
		"an old recorded one": {Stat{Capabilities: AllCapabilities}, true},
		"none":                {Stat{}, false},
	} {
		if got := test.st.Gives(unix.CAP_SETUID); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if s := (Stat{Capabilities: AllCapabilities}); s.Gives(-1) || s.Gives(64) {
		t.Error("a capability that cannot be")
	}
}

// What real files have, where this machine lets us make them.
func TestStatOfXattrs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o755))
	const capability, acl = "security.capability", "system.posix_acl_access"
	if err := unix.Setxattr(file, capability, capData(capRevision2, 0xc0, 0, 0, 0), 0); err != nil {
		t.Skipf("file capabilities cannot be set here: %v", err)
	}
	if err := unix.Setxattr(dir, acl, aclData(2, [3]uint32{1, 7}, [3]uint32{2, 1, 100000}, [3]uint32{4}, [3]uint32{0x10, 7}, [3]uint32{0x20}), 0); err != nil {
		t.Skipf("the file system has no ACLs: %v", err)
	}
	st, err := Machine{}.Stat(file)
	if err != nil || !st.Capable || st.Capabilities != 0xc0 || st.Searchers != nil {
		t.Errorf("file: %+v, %v", st, err)
	}
	st, err = Machine{}.Stat(dir)
	if err != nil || st.Capable || !reflect.DeepEqual(st.Searchers, []int{100000}) {
		t.Errorf("directory: %+v, %v", st, err)
	}
}

// /proc is mounted nosuid wherever there is an init; of its files, which are
// neither set-user-ID nor capable, it is not asked.
func TestNoSetUIDIsAskedOfPrograms(t *testing.T) {
	if st, err := (Machine{}).Stat("/proc/version"); err != nil || st.NoSetUID {
		t.Errorf("%+v, %v", st, err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "program")
	must(t, os.WriteFile(file, nil, 0o755))
	must(t, os.Chmod(file, 0o755|os.ModeSetuid))
	var sfs unix.Statfs_t
	must(t, unix.Statfs(dir, &sfs))
	want := sfs.Flags&unix.ST_NOSUID != 0
	if st, err := (Machine{}).Stat(file); err != nil || st.NoSetUID != want {
		t.Errorf("%+v, %v; want NoSetUID %v", st, err, want)
	}
}

func FuzzParseStat(f *testing.F) {
	for _, s := range []string{"104755 0 0 cap /a b", "040700 0 0 cap=c0,nosuid,search=1:2 /", "nonsense /bad", "1 2 3 - ", "777 1 1 search= /", "0 0 0 cap=,cap /"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, path, ok := parseStat(line)
		if !ok {
			return
		}
		again, samePath, ok := parseStat(FormatStat(path, s))
		if !ok || samePath != path || !reflect.DeepEqual(again, s) {
			t.Errorf("%q: %+v of %q came back as %+v of %q", line, s, path, again, samePath)
		}
	})
}

package layout

import (
	"errors"
	"strings"
	"testing"
)

func TestDirName(t *testing.T) {
	for _, test := range []struct{ name, user, want string }{
		{"ordinary", "alice", "alice"},
		{"digits, like a session", "0", "0"},
		{"like our own leaf", "init.scope", "init.scope"},
		{"like the users' directory", "user", "user"},
		// Active Directory, by winbind and sssd.
		{"domain and backslash", `DOMAIN\user`, `DOMAIN\user`},
		{"realm", "user@realm.example", "user@realm.example"},
		{"spaces", " first last ", " first last "},
		{"UTF-8", "žofie", "žofie"},
		{"not UTF-8", "\xff\xfe", "\xff\xfe"},
		{"colons, as between the fields of /proc/PID/cgroup", "a:0::", "a:0::"},
		{"like a removed cgroup", "a (deleted)", "a (deleted)"},
		{"minus", "-rf", "-rf"},
		{"dot inside", "first.last", "first.last"},
		{"dot at the end", "memory_.", "memory_."},
		{"255 bytes", strings.Repeat("x", 255), strings.Repeat("x", 255)},

		// systemd's cg_needs_escape (src/basic/cgroup-util.c).
		{"file of v1", "tasks", "_tasks"},
		{"file of v1 roots", "release_agent", "_release_agent"},
		{"other file of v1", "notify_on_release", "_notify_on_release"},
		{"file of every cgroup", "cgroup.procs", "_cgroup.procs"},
		{"file of a controller", "memory.max", "_memory.max"},
		{"file that a controller may come to have", "memory.x", "_memory.x"},
		{"controller and dot alone", "io.", "_io."},
		{"controller with an underscore", "net_cls.classid", "_net_cls.classid"},
		{"hugetlb with a size", "hugetlb.2MB.max", "_hugetlb.2MB.max"},
		{"escaped already", "_x", "__x"},
		{"escaped file", "_tasks", "__tasks"},
		{"hidden", ".x", "_.x"},
		{"three dots", "...", "_..."},
		{"controller alone is no file", "memory", "memory"},
		{"controller without its dot", "memoryx", "memoryx"},
		{"controller after a dot", "x.memory.max", "x.memory.max"},
		{"upper case", "Tasks", "Tasks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := DirName(test.user)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("DirName(%q) = %q, want %q", test.user, got, test.want)
			}
			if back := UserName(got); back != test.user {
				t.Errorf("UserName(%q) = %q, want %q", got, back, test.user)
			}
			if !IsDirName(got) {
				t.Errorf("IsDirName(%q) is false", got)
			}
		})
	}
}

func TestDirNameRefuses(t *testing.T) {
	for _, test := range []struct{ name, user, reason string }{
		{"empty", "", "empty"},
		{"this directory", ".", "means a directory"},
		{"the directory above", "..", "means a directory"}, // pam_cgfs wrote outside of user/
		{"slash", "a/b", "has a slash"},
		{"slash alone", "/", "has a slash"},
		{"path up", "../../x", "has a slash"},
		{"newline", "a\n0::", "has a control character"},
		{"NUL", "a\x00", "has a control character"},
		{"tab", "a\tb", "has a control character"},
		{"escape sequence", "\x1b[2J", "has a control character"},
		{"delete", "a\x7f", "has a control character"},
		{"300 bytes", strings.Repeat("x", 300), "longer than 255 bytes"},
		{"255 bytes and an escape", "." + strings.Repeat("x", 254), "longer than 255 bytes"},
		{"128 characters of two bytes", strings.Repeat("ž", 128), "longer than 255 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := DirName(test.user)
			var name *UserNameError
			if !errors.As(err, &name) || *name != (UserNameError{Name: test.user, Reason: test.reason}) || dir != "" {
				t.Errorf("got %q, %v", dir, err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b\x7f\t") {
				t.Errorf("raw control character in %q", err.Error())
			}
		})
	}
}

func TestIsDirName(t *testing.T) {
	for _, dir := range []string{"", ".", "..", "a/b", "a\n", "tasks", "memory.max", "_x", ".x", "_", strings.Repeat("x", 256)} {
		if IsDirName(dir) {
			t.Errorf("IsDirName(%q) is true, though no user's directory is called so", dir)
		}
	}
}

func FuzzDirName(f *testing.F) {
	for _, s := range []string{
		"alice", "", ".", "..", "a/b", "tasks", "cgroup.procs", "memory.x", "_x", ".x", `DOMAIN\user`, "user@realm", "a b",
		"ž", "\xff", "a\n", "a\x00", strings.Repeat("x", 255), strings.Repeat("_", 255),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, user string) {
		dir, err := DirName(user)
		if err != nil {
			var name *UserNameError
			if !errors.As(err, &name) || name.Name != user || name.Reason == "" || dir != "" {
				t.Errorf("%q: %q, %#v", user, dir, err)
			}
			return
		}
		if dir == "" || dir == "." || dir == ".." || len(dir) > 255 || strings.ContainsAny(dir, "/\x00\n") {
			t.Errorf("%q is the directory %q", user, dir)
		}
		if prefix, _, dotted := strings.Cut(dir, "."); dotted && (prefix == "" || prefix == "cgroup" || prefix == "memory") {
			t.Errorf("%q is the cgroup file %q", user, dir)
		}
		if back := UserName(dir); back != user { // so no two users share a directory
			t.Errorf("%q came back from %q as %q", user, dir, back)
		}
	})
}

package nss

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// FuzzGroups reads the groups of a user out of any two files: each stands in one of them.
func FuzzGroups(f *testing.F) {
	f.Add("alice:x:1000:1000::/home/alice:/bin/sh\n", "alice:x:1000:\nstaff:x:50:bob,alice\n", "alice")
	f.Add("a:::\n\na:x:1:5", "x:x:5:\n:::a\n", "a")
	f.Add("", "", "")
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, passwd, group, user string) {
		for name, data := range map[string]string{"passwd": passwd, "group": group} {
			if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		names, gids, err := Groups(machine.Recorded(dir), user, time.Time{})
		var failure *Error
		switch {
		case err != nil:
			if !errors.As(err, &failure) || names != nil || gids != nil {
				t.Errorf("%q, %q, %T %v", names, gids, err, err)
			}
			return
		case user == "" || len(gids) == 0 || !strings.Contains("\n"+passwd, "\n"+user+":"):
			t.Errorf("%q has %q, %q", user, names, gids)
		}
		for _, name := range names {
			if !strings.Contains("\n"+group, "\n"+name+":") {
				t.Errorf("group %q is in none of %q", name, group)
			}
		}
		slices.Sort(gids)
		if len(slices.Compact(gids)) != len(gids) {
			t.Errorf("%q more than once", gids)
		}
	})
}

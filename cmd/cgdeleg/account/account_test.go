package account

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	passwd := "root:x:0:0:root:/root:/bin/sh\nnot a line\nalice:x:1000:1001:Alice:/home/alice:/bin/bash\ntwin:x:1000:1001::/home/twin:/bin/sh\n"
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte(passwd), 0o644); err != nil {
		t.Fatal(err)
	}
	m := machine.Recorded(dir)
	if u, err := ByName(m, "alice"); err != nil || u.Uid != 1000 || u.Gid != 1001 || u.Home != "/home/alice" {
		t.Errorf("alice is %+v, %v", u, err)
	}
	if u, found := ByUID(m, 1000); !found || u.Name != "alice" {
		t.Errorf("1000 is %+v, %v; want the first that has it", u, found)
	}
	var unknown *UnknownError
	for _, name := range []string{"bob", "", "-s", "1000", "ali"} {
		if _, err := ByName(m, name); !errors.As(err, &unknown) || unknown.Name != name {
			t.Errorf("%q: got %v, want an *UnknownError", name, err)
		}
	}
	if u, found := ByUID(m, 4711); found {
		t.Errorf("4711 is %+v", u)
	}
	if all := All(machine.Recorded(t.TempDir())); len(all) > 0 {
		t.Errorf("a machine without /etc/passwd has %+v", all)
	}
	if u, err := ByName(machine.Machine{}, "root"); err != nil || u.Uid != 0 {
		t.Errorf("this machine's root is %+v, %v", u, err)
	}
}

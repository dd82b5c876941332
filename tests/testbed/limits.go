package testbed

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// WriteLimits writes /etc/cgdeleg/limits.conf for the length of the test.
func WriteLimits(t testing.TB, lines ...string) {
	t.Helper()
	const dir, file = "/etc/cgdeleg", "/etc/cgdeleg/limits.conf"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
}

// AddGroup makes a group for the length of the test.
func AddGroup(t testing.TB, name string, gid int, members ...string) {
	t.Helper()
	addGroups(t, fmt.Sprintf("%s:x:%d:%s\n", name, gid, strings.Join(members, ",")))
}

// AddGroups makes n groups for the length of the test, NAME0 and so on with the IDs from
// gid on, that all have the member.
func AddGroups(t testing.TB, name string, gid, n int, member string) {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "%s%d:x:%d:%s\n", name, i, gid+i, member)
	}
	addGroups(t, lines.String())
}

func addGroups(t testing.TB, lines string) {
	t.Helper()
	const file = "/etc/group"
	former, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(slices.Clone(former), lines...), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(file, former, 0o644) })
}

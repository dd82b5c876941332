package delegate_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cgdeleg/pam_cgdeleg"

// unwanted are packages that must not get into a login program, with all that
// is below them: they bring threads, sockets, resolvers or tables of their own,
// or print where nobody asked.
var unwanted = []string{"net", "os/exec", "encoding/json", "log", "github.com/godbus/dbus"}

// What the module's child process runs must stay small and know nothing of the
// packages built upon it. Imports point one way: pam -> delegate <- cmd.
func TestImports(t *testing.T) {
	imports := dependencies(t, module+"/pam", module+"/pam/worker", module+"/delegate/...")
	for _, must := range []string{module + "/delegate/cgroupfs", module + "/pam/worker", "golang.org/x/sys/unix", "fmt"} {
		if _, listed := imports[must]; !listed {
			t.Fatalf("go list did not name %s: this test would see nothing", must)
		}
	}
	for path := range imports {
		if slices.ContainsFunc(unwanted, func(u string) bool { return isBelow(path, u) }) {
			t.Errorf("%s is imported, by %q", path, importersOf(imports, path))
		}
	}
	for path, imported := range imports {
		if !isBelow(path, module+"/delegate") {
			continue
		}
		for _, i := range imported {
			if isBelow(i, module) && !isBelow(i, module+"/delegate") {
				t.Errorf("%s imports %s", path, i)
			}
		}
	}
}

func isBelow(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// dependencies maps every package that the given ones need to its imports.
func dependencies(t *testing.T, packages ...string) map[string][]string {
	t.Helper()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command: ", err)
	}
	args := append([]string{"list", "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`}, packages...)
	cmd := exec.Command(goCommand, args...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1") // without it, package pam has no files
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	imports := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		imports[fields[0]] = fields[1:]
	}
	return imports
}

func importersOf(imports map[string][]string, path string) (importers []string) {
	for importer, imported := range imports {
		if slices.Contains(imported, path) {
			importers = append(importers, importer)
		}
	}
	slices.Sort(importers)
	return importers
}

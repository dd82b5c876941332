package delegate_test

import (
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cgdeleg/pam_cgdeleg"

// unwanted are packages that must not get into a login program, with all that
// is below them: they bring threads, sockets, resolvers or tables of their own,
// or print where nobody asked.
var unwanted = []string{"net", "os/exec", "encoding/json", "log", "github.com/godbus/dbus"}

// bus is the package below delegate/ that speaks D-Bus. Only cmd may import it.
const bus = module + "/delegate/systemd"

// machinetest is for tests alone.
const machinetest = "delegate/machine/machinetest"

// catalogue is what a manual page is made of. No program needs it.
const catalogue = "delegate/messages/catalogue"

// edges are which packages of ours each one below delegate/ and pam/ may import: not
// more than it has to know. Those of cmd may import any of delegate, and each other; only
// the server does a worker's work.
var edges = map[string]string{
	"delegate/machine":    "",
	machinetest:           "",
	"delegate/cpulist":    "machine",
	"delegate/lock":       "",
	"delegate/systemd":    "",
	"delegate/cgroupfs":   "machine",
	"delegate/hierarchy":  "machine cgroupfs",
	"delegate/layout":     "cgroupfs hierarchy",
	"delegate/inotify":    "cgroupfs",
	"delegate/ticket":     "hierarchy layout",
	"delegate/manager":    "machine cgroupfs hierarchy",
	"delegate/limits":     "machine cgroupfs hierarchy cpulist",
	"delegate/limitsconf": "machine limits",
	"delegate/nss":        "machine",
	"delegate/plan":       "machine cgroupfs hierarchy layout limits cpulist manager",
	"delegate/apply":      "machine cgroupfs hierarchy layout limits cpulist manager plan ticket",
	"delegate/cleanup":    "machine cgroupfs hierarchy layout lock manager apply",
	"delegate":            "machine cgroupfs hierarchy inotify layout limits lock manager plan apply cleanup ticket",
	"delegate/options":    "hierarchy plan",
	"delegate/messages":   ". limits lock manager plan apply",
	catalogue:             "",
	"pam/worker":          ". machine hierarchy layout limits limitsconf lock manager nss ticket options messages",
	"pam":                 "pam/worker",
	"pam/helper":          "pam/worker",
	"cmd/cgdeleg/server":  "lock pam/worker",
	"delegate/usage":      ". machine cgroupfs hierarchy layout manager",
	"delegate/terminal":   "machine",
	"delegate/told":       "",
	"delegate/oom":        "machine cgroupfs hierarchy inotify layout manager",
}

// expand returns the import paths of a row of edges.
func expand(row string) (paths []string) {
	for name := range strings.FieldsSeq(row) {
		switch {
		case name == ".":
			name = "delegate"
		case !strings.Contains(name, "/"):
			name = "delegate/" + name
		}
		paths = append(paths, module+"/"+name)
	}
	return paths
}

// Each package knows what it has to know, and no other. What decides (plan) does not
// know how that is carried out, nor does what reads know who decides.
func TestEdges(t *testing.T) {
	imports := dependencies(t, module+"/delegate/...", module+"/pam/...", module+"/cmd/...")
	for path, imported := range imports {
		if !isBelow(path, module) {
			continue
		}
		name := strings.TrimPrefix(path, module+"/")
		row, listed := edges[name]
		allowed := expand(row)
		switch {
		case isBelow(name, "cmd") && !listed:
			allowed = slices.DeleteFunc(ours(slices.Collect(maps.Keys(imports))), func(p string) bool {
				return isBelow(p, module+"/pam") || p == module+"/"+machinetest || p == module+"/"+catalogue
			})
		case !listed:
			t.Errorf("%s is not among the edges: say there what it may import", name)
		}
		for _, i := range ours(imported) {
			if !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s", name, strings.TrimPrefix(i, module+"/"))
			}
		}
	}
	for name, row := range edges {
		imported, exists := imports[module+"/"+name]
		if !exists {
			t.Errorf("there is no package %s", name)
		}
		for _, allowed := range expand(row) {
			if !slices.Contains(imported, allowed) {
				t.Errorf("%s does not import %s any more: take it out of the edges", name, strings.TrimPrefix(allowed, module+"/"))
			}
		}
	}
}

// What the module's child process runs must stay small and know nothing of the
// packages built upon it. Imports point one way: pam -> delegate <- cmd.
func TestImports(t *testing.T) {
	packages := slices.DeleteFunc(list(t, module+"/pam/...", module+"/delegate/..."), func(p string) bool { return isBelow(p, bus) })
	imports := dependencies(t, packages...)
	for _, must := range []string{module + "/delegate/cgroupfs", module + "/pam/worker", "golang.org/x/sys/unix", "fmt"} {
		if _, listed := imports[must]; !listed {
			t.Fatalf("go list did not name %s: this test would see nothing", must)
		}
	}
	for path := range imports {
		if isBelow(path, bus) || slices.ContainsFunc(unwanted, func(u string) bool { return isBelow(path, u) }) {
			t.Errorf("%s is imported, by %q", path, importersOf(imports, path))
		}
	}
	requireLeaf(t, imports)
}

// requireLeaf wants that delegate imports nothing of this module but itself.
func requireLeaf(t *testing.T, imports map[string][]string) {
	t.Helper()
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

// D-Bus has one package, which knows nothing of cgroups.
func TestImportsOfBus(t *testing.T) {
	imports := dependencies(t, module+"/...")
	const godbus = "github.com/godbus/dbus/v5"
	if importers := importersOf(imports, godbus); !slices.Equal(ours(importers), []string{bus}) {
		t.Errorf("%s is imported by %q", godbus, importers)
	}
	for _, importer := range ours(importersOf(imports, bus)) {
		if !isBelow(importer, module+"/cmd/cgdeleg") {
			t.Errorf("%s imports %s", importer, bus)
		}
	}
	if own := ours(imports[bus]); len(own) > 0 {
		t.Errorf("%s imports %q", bus, own)
	}
	requireLeaf(t, imports)
}

// ours are the packages of this module.
func ours(packages []string) (own []string) {
	for _, p := range packages {
		if isBelow(p, module) {
			own = append(own, p)
		}
	}
	return own
}

func isBelow(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// dependencies maps every package that the given ones need to its imports.
func dependencies(t *testing.T, packages ...string) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	for line := range strings.Lines(goList(t, append([]string{"-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`}, packages...)...)) {
		fields := strings.Fields(line)
		imports[fields[0]] = fields[1:]
	}
	return imports
}

// list returns the packages that the patterns stand for.
func list(t *testing.T, patterns ...string) []string {
	t.Helper()
	return strings.Fields(goList(t, patterns...))
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	for _, dir := range []string{"../cmd", "../pam", "."} { // go test's cache sees what this process reads, not what go list does
		if err := filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command: ", err)
	}
	cmd := exec.Command(goCommand, append([]string{"list"}, args...)...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1") // without it, package pam has no files
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	return string(out)
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

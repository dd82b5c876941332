package vm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

var scenariosDir = flag.String("scenarios", "scenarios", "the folder with the scenarios to run")

// TestScenarios runs every scenario on its machines, as many at once as the
// test's -parallel allows.
func TestScenarios(t *testing.T) {
	need(t)
	scenarios, err := Scenarios(*scenariosDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(scenarios) == 0 {
		t.Fatal("no scenarios")
	}
	images := newImages(CacheDir())
	if flag.Lookup("test.run").Value.String() == "" {
		for _, disk := range disks(scenarios) {
			go func() { _, _ = images.build(disk) }() // all at once: each takes one processor, and minutes
		}
	}
	files := guestFiles(t)
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range s.Kinds {
				t.Run(kind.String(), func(t *testing.T) {
					t.Parallel()
					runScenario(t, s, kind, images.get(t, kind.disk(s.Image)), files)
				})
			}
		})
	}
}

// TestImages builds all images and starts no machine: .ci/run has them built while
// other tests run.
func TestImages(t *testing.T) {
	need(t)
	images := newImages(CacheDir())
	scenarios, err := Scenarios(*scenariosDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, disk := range disks(scenarios) {
		t.Run(disk.String(), func(t *testing.T) {
			t.Parallel()
			images.get(t, disk)
		})
	}
}

// need skips the test where nobody asked for machines. Where somebody did, it is
// an error that they cannot be had.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("CGDELEG_VM") != "1" {
		t.Skip("starts virtual machines, for minutes: run `make test-vm`")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root, to build the machines' images")
	}
	for _, program := range []string{"mmdebstrap", "qemu-system-x86_64", "mke2fs", "cpio", "zstd", "xz", "ansible-playbook"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("needs %s: run tests/vm/setup.sh", program)
		}
	}
}

// disks returns what the scenarios' machines boot from, but for the disk with SELinux: it takes
// minutes and is one scenario's, which builds it when it runs.
func disks(scenarios []Scenario) (all []Disk) {
	for _, s := range scenarios {
		for _, kind := range s.Kinds {
			if disk := kind.disk(s.Image); s.Image != seLinuxImage && !slices.Contains(all, disk) {
				all = append(all, disk)
			}
		}
	}
	return all
}

// images are those of the disks that a run wants, each built once.
type images struct {
	cache string
	mu    sync.Mutex
	built map[Disk]func() (Image, error)
}

func newImages(cache string) *images {
	return &images{cache: cache, built: map[Disk]func() (Image, error){}}
}

// get waits for the disk's image.
func (i *images) get(t *testing.T, disk Disk) Image {
	t.Helper()
	image, err := i.build(disk)
	if err != nil {
		t.Fatalf("no image of %s: the reason is above, where it was built", disk)
	}
	return image
}

// build says at once how long it took, or what is wrong: all of the disk's
// scenarios fail for it.
func (i *images) build(disk Disk) (Image, error) {
	i.mu.Lock()
	build := i.built[disk]
	if build == nil {
		build = sync.OnceValues(func() (Image, error) {
			start := time.Now()
			image, err := BuildImage(context.Background(), i.cache, disk)
			if err != nil {
				fmt.Printf("FAIL image of %s, which is made of packages from Debian's archive: %v\n", disk, err)
			} else {
				fmt.Printf("image of %s: %.1f s\n", disk, time.Since(start).Seconds())
			}
			return image, err
		})
		i.built[disk] = build
	}
	i.mu.Unlock()
	return build()
}

// guestFiles returns what every machine is given: the built module, the files
// that the project installs beside it, and the scenarios' library.
func guestFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"main.sh":        "guest/main.sh",
		"lib.sh":         "guest/lib.sh",
		"nested.sh":      "guest/nested.sh",
		"pages.sh":       "guest/pages.sh",
		"newcomer.sh":    "guest/newcomer.sh",
		"breakages.sh":   "guest/breakages.sh",
		"findings.pl":    "guest/findings.pl",
		"packages.sh":    "../packages/lib.sh",
		"pam_cgdeleg.so": testbed.Built(t, "pam_cgdeleg.so"),
		"trylogin":       testbed.Built(t, "trylogin"),
		"cgdeleg":        testbed.Built(t, "cgdeleg"),
		"storm":          buildProgram(t, "../storms/storm"),
		"hostile":        buildProgram(t, "../hostile/user"),
		"pamapp":         testbed.CompileC(t, "../applications/pamapp/pamapp.c", "-lpam", "-ldl", "-lpthread"),
	}
	if os.Getenv("CGDELEG_VM_HALF") == "1" {
		files["half"] = "guest/half"
	}
	root := testbed.Root(t)
	for folder, in := range map[string]string{"deb": "debs", "deb-next": "debs/next"} {
		debs, _ := filepath.Glob(filepath.Join(root, "build", folder, "*.deb"))
		for _, deb := range debs {
			files[filepath.Join(in, filepath.Base(deb))] = deb
		}
	}
	pages, _ := filepath.Glob(filepath.Join(root, "docs", "getting-started", "*.md"))
	for _, page := range pages {
		files[filepath.Join("getting-started", filepath.Base(page))] = page
	}
	err := fs.WalkDir(os.DirFS(root), "contrib", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() { // also a link: its file
			files[path] = filepath.Join(root, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// buildProgram builds a program of the tests', for machines that have no Go.
func buildProgram(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(folder))
	cmd := exec.Command("go", "build", "-o", path, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// clientsScenario is the one whose rows are docs/clients/table.md.
const clientsScenario = "clients"

// The table has the machines on which clients are tested, and no others.
func TestTableOfClients(t *testing.T) {
	scenarios, err := Scenarios("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{table.Here}
	for _, s := range scenarios {
		if s.Name == clientsScenario {
			for _, kind := range s.Kinds {
				want = append(want, kind.String())
			}
		}
	}
	if got := table.Machines(t); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("docs/clients/table.md has %v, tested are %v", got, want)
	}
}

// runScenario runs one scenario on one machine. Each of its assertions is a
// subtest.
func runScenario(t *testing.T, s Scenario, kind Kind, image Image, files map[string]string) {
	dir := filepath.Join(testbed.Root(t), "build", "vm", s.Name, kind.String())
	m := Machine{Kind: kind, Image: image, ImageName: s.Image, Limit: s.Limit, Processors: s.Processors, Controller: s.Controller, Dir: dir, Files: map[string]string{"scenario.sh": s.Path}}
	for name, path := range files {
		m.Files[name] = path
	}
	result, err := runPatiently(t, s, m)
	if result != nil {
		// at once, not when the test has ended: it is minutes until then
		defer func() { fmt.Println(summary(s, kind, result, t.Failed())) }()
		t.Logf("what it left is in %s", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := ParseReport(result.Output)
	for _, note := range report.Notes {
		t.Log(note)
	}
	for _, a := range report.Assertions {
		t.Run(a.Name, func(t *testing.T) {
			if !a.OK {
				t.Error(a.Evidence)
			}
		})
	}
	if err != nil {
		t.Errorf("%v; its output ends with:\n%s", err, tail(result.Output, 20))
	}
	if s.Name == clientsScenario && err == nil {
		rows, err := table.ParseNotes(report.Notes)
		if err != nil {
			t.Fatal(err)
		}
		table.Check(t, kind.String(), rows)
	}
	if wantStatus := boolStatus(!t.Failed()); err == nil && result.Status != wantStatus {
		t.Errorf("the script ended with status %d, want %d", result.Status, wantStatus)
	}
}

// runPatiently runs the machine, and where CGDELEG_VM_AGAIN is 1 once more if its
// scenario failed: an emulator on a busy machine can be too slow for anybody's
// patience. It says so, and keeps what the first run left beside the second's.
func runPatiently(t *testing.T, s Scenario, m Machine) (*Result, error) {
	t.Helper()
	result, err := m.Run(t.Context())
	if os.Getenv("CGDELEG_VM_AGAIN") != "1" || holds(result, err) {
		return result, err
	}
	fmt.Printf("AGAIN %s on %s: it failed once\n", s.Name, m.Kind)
	if result != nil {
		fmt.Println(tail(result.Output, 20))
	}
	first := m.Dir + ".first"
	if err := errors.Join(os.RemoveAll(first), os.Rename(m.Dir, first)); err != nil {
		t.Log(err)
	}
	return m.Run(t.Context())
}

// holds tells whether everything that a scenario asserts holds.
func holds(result *Result, err error) bool {
	if err != nil || result.Status != 0 {
		return false
	}
	_, err = ParseReport(result.Output)
	return err == nil
}

func summary(s Scenario, kind Kind, result *Result, failed bool) string {
	word := "ok  "
	if failed {
		word = "FAIL"
	}
	line := fmt.Sprintf("%s %-24s %-26s boot %5.1f s, total %5.1f s", word, s.Name, kind, result.Boot.Seconds(), result.Total.Seconds())
	if result.Boots > 1 {
		line += fmt.Sprintf(", at boot number %d", result.Boots)
	}
	return line
}

// boolStatus is the exit status of finish.
func boolStatus(ok bool) int {
	if ok {
		return 0
	}
	return 1
}

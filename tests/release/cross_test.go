package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// machine is an architecture under qemu-user, with what sysroot.sh made and the C
// library of Debian's cross compiler.
type machine struct {
	t       *testing.T
	arch    string
	gnu     string
	sysroot string
}

func machineOf(t *testing.T, arch string) machine {
	t.Helper()
	gnu := gnuArch[arch]
	testbed.Need(t, gnu+"-linux-gnu-gcc", "qemu-"+gnu+"-static")
	return machine{t, arch, gnu, root(t, "build", "cross", arch, "sysroot")}
}

func (m machine) built(name string) string {
	m.t.Helper()
	return root(m.t, "build", "cross", m.arch, name)
}

// run returns what a program for this architecture prints.
func (m machine) run(env []string, words ...string) string {
	m.t.Helper()
	cmd := exec.Command("qemu-"+m.gnu+"-static", append([]string{"-L", "/usr/" + m.gnu + "-linux-gnu"}, words...)...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(m.sysroot, "lib"))
	cmd.Env = append(cmd.Env, env...)
	return output(m.t, cmd)
}

// pamapp compiles the application of tests/applications.
func (m machine) pamapp() string {
	m.t.Helper()
	application := filepath.Join(m.t.TempDir(), "pamapp")
	command(m.t, m.gnu+"-linux-gnu-gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-isystem", filepath.Join(m.sysroot, "include"),
		"-L"+filepath.Join(m.sysroot, "lib"), "-o", application,
		root(m.t, "tests", "applications", "pamapp", "pamapp.c"), "-lpam", "-ldl", "-lpthread")
	return application
}

// words returns the results of a pamapp word.
func words(out, word string) (results []string) {
	for line := range strings.Lines(out) {
		if result, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), word+": "); ok {
			results = append(results, result)
		}
	}
	return results
}

// plain compiles a Go library as any other.
func (m machine) plain() string {
	m.t.Helper()
	library := filepath.Join(m.t.TempDir(), "plain.so")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", library, "./testdata/plain")
	cmd.Env = append(os.Environ(), "GOARCH="+m.arch, "CGO_ENABLED=1", "CC="+m.gnu+"-linux-gnu-gcc")
	output(m.t, cmd)
	return library
}

// The module starts nothing in the application that loads it. qemu-user has
// threads of its own, which the application sees: what counts is that there are
// no more of them, and that a Go library as any other is seen to start some.
func TestLoadsWithoutThreads(t *testing.T) {
	for _, arch := range arches(t) {
		t.Run(arch, func(t *testing.T) {
			m := machineOf(t, arch)
			application := m.pamapp()
			states := func(library string) []string {
				out := m.run(nil, application, "state", "load="+library, "state")
				if got := words(out, "load"); len(got) != 1 || got[0] != "ok" {
					t.Fatalf("%s could not be loaded: %s", library, out)
				}
				return words(out, "state")
			}
			if s := states(m.built("pam_cgdeleg.so")); len(s) != 2 || s[0] != s[1] {
				t.Errorf("the module changed its application:\nbefore %s\nafter  %s", s[0], s[1])
			}
			s := states(m.plain())
			if before, after := strings.Fields(s[0])[0], strings.Fields(s[1])[0]; before == after {
				t.Errorf("a plain Go library starts no threads (%s): this test sees nothing", after)
			}
		})
	}
}

// The Go runtime starts in the child, and makes a session on the real cgroups.
func TestSessionUnderQEMU(t *testing.T) {
	for i, arch := range arches(t) {
		t.Run(arch, func(t *testing.T) {
			m := machineOf(t, arch)
			u := testbed.AddUser(t, "cgqemu", 20900+i)
			confdir := t.TempDir()
			line := fmt.Sprintf("session required %s -c freezer,name=systemd timeout=60\n", m.built("pam_cgdeleg.so"))
			if err := os.WriteFile(filepath.Join(confdir, "qemu"), []byte(line), 0o644); err != nil {
				t.Fatal(err)
			}
			log := testbed.LogFromNow(t)
			out := m.run([]string{"CONFDIR=" + confdir}, m.pamapp(), "start=qemu:"+u.Name, "open", "cgroups", "close", "cgroups", "end")
			for _, word := range []string{"open", "close"} {
				if got := words(out, word); len(got) != 1 || got[0] != "0" {
					t.Errorf("%s answered %v", word, got)
				}
			}
			seen := words(out, "cgroups")
			if len(seen) != 2 {
				t.Fatalf("output:\n%s", out)
			}
			inside, outside := testbed.ParsePlacement(seen[0]), testbed.ParsePlacement(seen[1])
			for _, name := range []string{"freezer", "name=systemd"} {
				hierarchy := testbed.HierarchyNamed(t, name).Name
				if got, want := inside[hierarchy], "/user/"+u.Name+"/0"; got != want {
					t.Errorf("%s: in %s, want %s", name, got, want)
				}
				if got := outside[hierarchy]; strings.HasPrefix(got, "/user/"+u.Name) {
					t.Errorf("%s: still in %s after the close", name, got)
				}
			}
			log.WantSilence()
		})
	}
}

// The module for musl, and the program that it starts.
func TestMuslModule(t *testing.T) {
	for _, arch := range arches(t) {
		t.Run(arch, func(t *testing.T) {
			m := machineOf(t, arch)
			dir := t.TempDir()
			muslCC := func(args ...string) {
				command(t, root(t, "packaging", "cross", "musl-cc.sh"), append([]string{m.gnu, m.sysroot}, args...)...)
			}
			musl := filepath.Join(m.sysroot, "musl", "lib")
			muslCC("-shared", "-fPIC", "-Wl,-soname,libpam.so.0", "-o", filepath.Join(dir, "libpam.so.0"), "testdata/libpam.c")
			application := filepath.Join(dir, "muslapp")
			muslCC("-fPIE", "-pie", "-Wl,--dynamic-linker="+filepath.Join(musl, "libc.so"), "-o", application,
				filepath.Join(musl, "Scrt1.o"), filepath.Join(musl, "crti.o"), "testdata/muslapp.c", filepath.Join(musl, "crtn.o"))
			out := m.run([]string{"LD_LIBRARY_PATH=" + dir}, application, m.built("musl/pam_cgdeleg.so"))
			before, after := words(out, "before"), words(out, "after")
			if len(before) != 1 || len(after) != 1 || before[0] != after[0] {
				t.Errorf("loading it changed the application:\n%s", out)
			}
			reply := workerReply(m, "open", fmt.Sprint(os.Getpid()), "65534", "65534", "nobody", "test", "", "min_uid=100000")
			if !strings.Contains(reply, "result success") {
				t.Errorf("the worker answered %q", reply)
			}
			if reply := workerReply(m, "sleep"); strings.Contains(reply, "result success") {
				t.Errorf("the worker took an unknown verb: %q", reply)
			}
		})
	}
}

// workerReply runs the program that musl's module starts, as spawn_exec.c does.
func workerReply(m machine, args ...string) string {
	m.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command("qemu-"+m.gnu+"-static", append([]string{m.built("worker")}, args...)...)
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	if w.Close(); err != nil {
		m.t.Fatal(err)
	}
	defer r.Close()
	buffer := make([]byte, 64*1024)
	var reply strings.Builder
	for {
		n, err := r.Read(buffer)
		reply.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	_ = cmd.Wait() // its status is in the reply
	return reply.String()
}

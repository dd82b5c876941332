package commands

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What is written as JSON, of each recorded machine, is what docs/json.schema.json says.
func TestJSONSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	file := filepath.Join(testbed.Root(t), "docs/json.schema.json")
	machines, err := filepath.Glob(filepath.Join(testbed.Root(t), "cmd/cgdeleg/check/testdata/*/proc"))
	if err != nil || len(machines) == 0 {
		t.Fatalf("no recorded machines: %v", err)
	}
	field, _ := filepath.Glob(filepath.Join(testbed.Root(t), "cmd/cgdeleg/check/testdata/field/*/proc"))
	for name, args := range map[string]string{
		"check": "check --json", "status": "status --json", "usages": "usage --json", "cleanup": "cleanup --dry-run --json", "version": "version --json",
		"limits-check": "limits check --json", "path": "path --json",
	} {
		schema, err := compiler.Compile(file + "#/$defs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, machine := range append(machines, field...) {
			r := cgdeleg(t, nil, append([]string{"--root", filepath.Dir(machine)}, strings.Fields(args)...)...)
			if r.out == "" && name != "check" { // of a machine of which too little is known
				continue
			}
			var value any
			if err := json.Unmarshal([]byte(r.out), &value); err != nil {
				t.Errorf("%s: %s: %v\n%s", machine, args, err, r.out)
				continue
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %s: %v", machine, args, err)
			}
		}
	}
}

// The same of files of limits in which something is wrong.
func TestJSONSchemaOfLimits(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/limits-check")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"well": "* user pids.max=100\n", "nothing": "", "wrong": "a\n* user pids.max=1 memory.mx=1\nroot user memory.high=1G\n"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "etc/cgdeleg"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "etc/cgdeleg/limits.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r := cgdeleg(t, nil, "--root", dir, "limits", "check", "--json")
		var value any
		if err := json.Unmarshal([]byte(r.out), &value); err != nil {
			t.Errorf("%s: %v\n%s", name, err, r.out)
			continue
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "wrong" && strings.Count(r.out, `"severity"`) < 3 {
			t.Errorf("found only %s", r.out)
		}
	}
}

// The same of what users get of files of limits on recorded machines, whether that can be set
// there or not.
func TestJSONSchemaOfGivenLimits(t *testing.T) {
	machines, err := filepath.Glob(filepath.Join(testbed.Root(t), "delegate/testdata/*/proc"))
	if err != nil || len(machines) == 0 {
		t.Fatalf("no recorded machines: %v", err)
	}
	const conf = "alice user memory.max=50% memory.high=1G pids.max=100 cpu.max=150% io.max=\"8:0 rbps=1M\" io.max=\"/nosuch wiops=1\" cpuset.cpus=0\n" +
		"* session memory.max=1G io.weight=50 memory.mx=1\n* session cpu.weight=50 memory.swap.max=0\n"
	seen := map[string]bool{}
	for _, machine := range machines {
		root := recordedWith(t, filepath.Dir(machine), conf)
		for name, args := range map[string]string{"limits-explain": "limits explain alice --json", "limits-apply": "limits apply --dry-run --json"} {
			schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/" + name)
			if err != nil {
				t.Fatal(err)
			}
			r := cgdeleg(t, nil, append([]string{"--root", root}, strings.Fields(args)...)...)
			var value any
			if err := json.Unmarshal([]byte(r.out), &value); err != nil {
				t.Errorf("%s: %s: %v\n%s%s", machine, args, err, r.out, r.errOut)
				continue
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %s: %v", machine, args, err)
			}
			for _, word := range []string{`"file": "/`, `"file": null`, `"slice": "user-1000.slice"`, `"result": "set"`, `"result": "failed"`, `"ignored": [` + "\n"} {
				seen[word] = seen[word] || strings.Contains(r.out, word)
			}
		}
	}
	for word, is := range seen {
		if !is {
			t.Errorf("no recorded machine has %s", word)
		}
	}
}

// recordedWith copies a recorded machine, and gives it users and a file of limits.
func recordedWith(t *testing.T, machine, conf string) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "machine")
	if out, err := exec.Command("cp", "-a", machine, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"etc/cgdeleg/limits.conf": conf, "etc/passwd": "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n",
		"etc/cgdeleg/limits.d/README": "nothing",
		"proc/meminfo":                "MemTotal: 8388608 kB\nSwapTotal: 0 kB\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	session := filepath.Join(root, "sys/fs/cgroup/user/alice")
	if _, err := os.Stat(session); err == nil { // there a limit can be set
		if err := os.WriteFile(filepath.Join(session, "pids.max"), []byte("max\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The same of what was pasted, where less is known: the user, and the process.
func TestJSONSchemaOfPasted(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/check")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filepath.Glob(filepath.Join(testbed.Root(t), "cmd/cgdeleg/testdata/pasted/*/status"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("nothing was pasted: %v", err)
	}
	unknown := filepath.Join(t.TempDir(), "cgroup")
	if err := os.WriteFile(unknown, []byte("0::/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(cases, unknown) {
		r := cgdeleg(t, nil, "check", "--json", "--pasted", filepath.Dir(file))
		var value any
		if err := json.Unmarshal([]byte(r.out), &value); err != nil {
			t.Errorf("%s: %v\n%s", file, err, r.out)
			continue
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

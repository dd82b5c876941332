package commands

import (
	"encoding/json"
	"os"
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
		"limits-check": "limits check --json",
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

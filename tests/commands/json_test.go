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

package vm

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// A suite's image has the clients' packages and its own, and is built again for a
// package more; for a comment it is not.
func TestRecipe(t *testing.T) {
	data, err := os.ReadFile(clientsFile)
	if err != nil {
		t.Fatal(err)
	}
	clients := string(data)
	for _, suite := range []Suite{Bookworm, Trixie} {
		of := func(clients string) recipe {
			r, err := newRecipe(suite, clients)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := of(clients)
		packages := strings.Split(string(r[packagesFile(suite)]), "\n")
		for _, name := range []string{"podman", "uidmap", "systemd"} {
			if !slices.Contains(packages, name) {
				t.Errorf("%s has no %s: %v", suite, name, packages)
			}
		}
		for _, stage := range []func(recipe) string{recipe.hash, func(r recipe) string { return r.rootfs(suite).hash() }} {
			if stage(of(clients+"nerdctl\n")) == stage(r) {
				t.Errorf("%s is not built anew for a package more", suite)
			}
			if stage(of("# A comment\n"+clients)) != stage(r) {
				t.Errorf("%s is built anew for a comment", suite)
			}
		}
	}
}

package contrib

import "testing"

// The role is what Ansible's own linter wants of one that is published. What it
// does is tested in a virtual machine (tests/vm/scenarios/ansible.sh).
func TestAnsibleRole(t *testing.T) {
	need(t, "ansible-lint", "ansible-lint")
	t.Chdir(file(t, "ansible"))
	must(t, "ansible-lint", "--offline", "--profile", "production", "site.yml", "roles/cgdeleg")
}

package check_test

import "testing"

// podman without LXC maps as many IDs as there are.
func TestPodmanIDs(t *testing.T) {
	ids := func(users, groups string) change {
		return all(replace("/etc/subuid", "65536", users), replace("/etc/subgid", "65536", groups))
	}
	for name, test := range map[string]aCase{
		"one less than LXC wants": {machine: v2, clients: trixie, change: ids("65535", "65535")},
		"as far as nobody":        {machine: v2, clients: trixie, change: ids("65534", "65536")},
		"fewer": {machine: v2, clients: trixie, change: ids("65536", "65533"), want: []string{"warning:subid"},
			says: "alice has 65533 subordinate IDs: podman starts containers, but cannot unpack an image with a file whose ID is above that", fix: "usermod --add-subgids"},
		"none": {machine: v2, clients: trixie, change: all(remove("/etc/subuid"), remove("/etc/subgid")), want: []string{"failed:subid"}, says: "alice has fewer subordinate IDs than the 65536"},
		"none, of a user without an account": {machine: v2, clients: trixie, change: all(write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"), remove("/etc/subuid"), remove("/etc/subgid")),
			want: []string{"failed:subid"}, says: "user 1000 has fewer subordinate IDs than the 65536", fix: "give user 1000 a free range"},
		"no IDs in a line": {machine: v2, clients: trixie, change: all(replace("/etc/subuid", "65536", "0"), replace("/etc/subgid", "65536", "0")),
			want: []string{"failed:subid"}, says: "alice has fewer subordinate IDs than the 65536", fix: "remove the lines that give no IDs, and give alice a free range"},
		"no IDs in a line beside others": {machine: v2, clients: trixie, change: appendTo("/etc/subuid", "alice:300000:0\n"),
			want: []string{"failed:subid"}, says: "newuidmap refuses one that gives no IDs", evidence: "alice:300000:0", fix: "sudo sed -i '/^alice:300000:0$/d' /etc/subuid"},
		"somebody's line of four fields": {machine: v2, clients: trixie, change: appendTo("/etc/subuid", "# all:of:us:here\nbob:300000:65536:x\n"),
			want: []string{"warning:subid"}, says: "a podman that was built without libsubid takes nothing from a file with a line of other than three fields", evidence: "bob:300000:65536:x", fix: "correct these lines"},
		"own ID": {machine: v2, clients: trixie, change: all(replace("/etc/subuid", "100000", "900"), replace("/etc/subgid", "100000", "900")),
			want: []string{"failed:subid-overlap"}, says: "alice's own ID is in a range of alice's subordinate IDs"},
	} {
		t.Run(name, func(t *testing.T) { test.run(t, "podman", nil) })
	}
}

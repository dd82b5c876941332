package main

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// splitPodmans takes those failures from the problems that keep podman alone from starting
// containers, where LXC is there as well.
func splitPodmans(f *check.Facts, problems []check.Finding) (others []check.Finding, podmans []string) {
	for _, p := range problems {
		if p.Status == check.Failed && f.IsPodmans(p) {
			podmans = append(podmans, p.Name)
		} else {
			others = append(others, p)
		}
	}
	return others, podmans
}

// withoutPodman is what the failures come to where some are podman's alone.
func withoutPodman(f *check.Facts, problems, others []check.Finding, podmans []string) string {
	says := "podman starts no containers of " + f.Subject.Called() + " here, because of " + strings.Join(podmans, ", ")
	if lackNetwork(problems, podmans) {
		says = "podman starts containers of " + f.Subject.Called() + " here only " + noNetwork + ", because of " + strings.Join(podmans, ", ")
	}
	if slices.ContainsFunc(others, func(p check.Finding) bool { return p.Status == check.Failed || p.Status == check.Unknown }) {
		return conclusion(f, others) + " " + says + "."
	}
	return says + "; LXC starts them."
}

// noNetwork is how podman starts containers that it can give no network.
const noNetwork = "without a network of their own (--network=none or --network=host)"

// lackNetwork tells whether all that these checks found is that podman can give containers no
// network.
func lackNetwork(problems []check.Finding, names []string) bool {
	return !slices.ContainsFunc(problems, func(p check.Finding) bool { return slices.Contains(names, p.Name) && !p.LacksNetwork() })
}

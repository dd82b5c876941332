package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// used is what a transaction costs the machine, with all that it starts.
type used struct{ faults, micros int }

// sample is one transaction of a fresh process.
type sample struct {
	dlopen, open, close time.Duration
	whole               time.Duration // from dlopen to pam_end, without what asks for the cgroups
	used                used
	failed              bool
	entered             int // in how many hierarchies it was in a session of its own
}

// script is a transaction for pamapp, in a child, and the end of all that it started:
// a worker that nobody waits for becomes the child of the process that measures.
func script(s stack, service string) []string {
	return []string{"subreaper", "usage", "fork", "{",
		"clock", "load=" + s.module, "clock", "start=" + service + ":" + s.user.Name, "clock", "open", "clock", "cgroups", "clock", "close", "clock", "end", "clock",
		"}", "orphans", "usage"}
}

func pamapp(b *testing.B, words ...string) *exec.Cmd {
	b.Helper()
	cmd := exec.Command(application(b), words...)
	cmd.Env = append(os.Environ(), "CONFDIR="+confDir)
	return cmd
}

// measure runs one transaction.
func measure(b *testing.B, server *server, s stack) sample {
	b.Helper()
	cmd := pamapp(b, script(s, s.service(b))...)
	server.answers(s.served)
	var before used
	if s.served {
		before = server.used()
	}
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v: %s", s.name, err, out)
	}
	measured := parse(b, string(out))
	measured.entered = strings.Count(string(out), ":/user/"+s.user.Name+"/")
	if s.served {
		server.rest()
		after := server.used()
		measured.used.faults += after.faults - before.faults
		measured.used.micros += after.micros - before.micros
	}
	return measured
}

// parse reads what pamapp said of a script.
func parse(b *testing.B, out string) (s sample) {
	b.Helper()
	var at []int
	var all []used
	for line := range strings.Lines(out) {
		word, values, _ := strings.Cut(strings.TrimSpace(line), ": ")
		var n [2]int
		_, _ = fmt.Sscan(values, &n[0], &n[1])
		switch word {
		case "clock":
			at = append(at, n[0])
		case "usage":
			all = append(all, used{n[0], n[1]})
		case "open", "close":
			s.failed = s.failed || values != "0"
		}
	}
	if len(at) != 7 || len(all) != 2 {
		b.Fatal(out)
	}
	span := func(from, to int) time.Duration { return time.Duration(at[to] - at[from]) }
	return sample{
		failed: s.failed, dlopen: span(0, 1), open: span(2, 3), close: span(4, 5), whole: span(0, 3) + span(4, 6),
		used: used{all[1].faults - all[0].faults, all[1].micros - all[0].micros},
	}
}

// inTurns measures all stacks, one transaction each in any order, again and again, and
// says which logins got nothing: these may be fast, and where the kernel has no memory
// cgroup left (it knows 65,535, also those that it has not yet got rid of) they fail, and
// are not measured. after is done behind each.
func inTurns(b *testing.B, server *server, stacks []stack, rounds int, after func()) [][]sample {
	b.Helper()
	samples, without := make([][]sample, len(stacks)), make([]int, len(stacks))
	for round := range rounds + 1 {
		for _, i := range rand.Perm(len(stacks)) {
			s := measure(b, server, stacks[i])
			after()
			if round == 0 { // with cold caches
				continue
			}
			if s.entered == 0 || s.failed {
				without[i]++
			}
			if !s.failed {
				samples[i] = append(samples[i], s)
			}
		}
	}
	for i, s := range stacks {
		if without[i] > 0 && !s.isEmpty {
			fmt.Printf("\n%s, %s: %d of %d logins got no cgroups.\n", s.name, s.hierarchies, without[i], rounds)
		}
	}
	return samples
}

func nothing() {}

// rest lets the kernel come to rest, as it is when somebody logs in. The first move of a
// process after some milliseconds without any waits until all processors have been seen
// outside of the kernel's readers (cgroup_threadgroup_rwsem, rcu_sync(9)); those that
// follow within that time do not.
func rest() { time.Sleep(50 * time.Millisecond) }

// at returns what a share of the samples does not exceed.
func at[T int | time.Duration](share float64, samples []sample, value func(sample) T) T {
	var all []T
	for _, s := range samples {
		all = append(all, value(s))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(share*float64(len(all))))]
}

func median[T int | time.Duration](samples []sample, value func(sample) T) T {
	return at(0.5, samples, value)
}

func toOpen(s sample) time.Duration { return s.open }
func whole(s sample) time.Duration  { return s.whole }

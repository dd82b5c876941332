package bench

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/neighbour"
)

// BenchmarkTransaction is a login and logout, from dlopen to pam_end, on a machine that
// does nothing else, there also as fast as one can follow the other, and beside two
// programs that use the processor.
func BenchmarkTransaction(b *testing.B) {
	server := startServer(b)
	stacks := stacks(b, server, one, three, all)
	addUsers(b, stacks)
	calls := make([]int, len(stacks))
	for i, s := range stacks {
		calls[i] = systemCalls(b, server, s)
	}
	for _, load := range []struct {
		name  string
		busy  int
		after func()
	}{{"on a machine at rest", 0, rest}, {"one right after the other", 0, nothing}, {"beside two busy loops", 2, rest}} {
		end := neighbour.Busy(load.busy)
		n := rounds(120)
		samples := inTurns(b, server, stacks, n, load.after)
		end()
		var rows [][]string
		var base time.Duration
		for i, s := range stacks {
			if s.isFloor {
				base = median(samples[i], whole)
			}
			rows = append(rows, append([]string{s.name, s.hierarchies}, columns(samples[i], base, calls[i])...))
		}
		table(fmt.Sprintf("A login and logout %s: medians of %d rounds, times in ms", load.name, n),
			[]string{"stack", "asked", "entered", "dlopen", "open", "close", "whole", "p99", "/ floor", "system calls", "page faults", "CPU"}, rows)
	}
}

func columns(samples []sample, base time.Duration, calls int) []string {
	return []string{
		strconv.Itoa(median(samples, func(s sample) int { return s.entered })),
		ms(median(samples, func(s sample) time.Duration { return s.dlopen })),
		ms(median(samples, toOpen)),
		ms(median(samples, func(s sample) time.Duration { return s.close })),
		ms(median(samples, whole)),
		ms(at(0.99, samples, whole)),
		ratio(median(samples, whole), base),
		strconv.Itoa(calls),
		strconv.Itoa(median(samples, func(s sample) int { return s.used.faults })),
		ms(time.Duration(median(samples, func(s sample) int { return s.used.micros })) * time.Microsecond),
	}
}

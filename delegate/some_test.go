package delegate

import (
	"slices"
	"testing"
)

// Logins with one PID after the other look at all of a user's sessions in turn.
func TestSome(t *testing.T) {
	numbers := make([]int, 100)
	for i := range numbers {
		numbers[i] = 3 * i
	}
	for _, count := range []int{0, 1, lookedAt, lookedAt + 1, 100} {
		seen := map[int]bool{}
		for pid := range 200 {
			looked := some(numbers[:count], pid)
			if len(looked) != min(count, lookedAt) {
				t.Fatalf("%d of %d are looked at", len(looked), count)
			}
			for _, n := range looked {
				seen[n] = true
			}
			if slices.Sort(looked); len(slices.Compact(slices.Clone(looked))) != len(looked) {
				t.Errorf("some twice: %v", looked)
			}
		}
		if len(seen) != count {
			t.Errorf("%d of %d are ever looked at", len(seen), count)
		}
	}
	if !slices.IsSorted(numbers) {
		t.Error("it has changed what it was given")
	}
}

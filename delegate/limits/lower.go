package limits

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Lower goes on where Update stopped because more memory was in use than the new limit
// allows: until the context ends it has the kernel reclaim, and lowers the limit as what is
// in use falls, never below that. What could not be lowered that far keeps its *InUseError.
func Lower(ctx context.Context, dir *cgroupfs.Dir, outcomes []Outcome) {
	for i := range outcomes {
		if outcomes[i].IsInUse() {
			l := lowering{dir: dir, Setting: outcomes[i].Setting}
			l.run(ctx, &outcomes[i])
		}
	}
}

// lowering is the lowering of one limit.
type lowering struct {
	Setting
	dir *cgroupfs.Dir
}

// look is how often is looked whether less is in use.
const look = 50 * time.Millisecond

func (l lowering) run(ctx context.Context, o *Outcome) {
	release := l.press()
	defer release()
	for {
		isDone, err := l.step()
		o.Err = err
		var inUse *InUseError
		if errors.As(err, &inUse) {
			o.IsChanged = l.bound(l.dir, inUse) || o.IsChanged
		}
		if isDone {
			o.IsChanged = o.IsChanged || err == nil
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(look):
		}
	}
}

// step sets the limit if that kills nobody. v1's kernel refuses it otherwise (EBUSY), after it
// reclaimed what it could; v2's would kill.
func (l lowering) step() (isDone bool, err error) {
	use, err := readNumber(l.dir, usage[l.File])
	if err != nil {
		return true, &SettingError{Limit: l.Limit, Err: err}
	}
	if use > l.number() && l.File == string(MemoryMax) {
		return false, l.inUse(use)
	}
	err = l.write(l.dir)
	if errors.Is(err, unix.EBUSY) || l.File == memswLimit && errors.Is(err, unix.EINVAL) {
		return false, l.inUse(use)
	}
	return true, err
}

func (l lowering) inUse(use uint64) error {
	return &InUseError{Limit: l.Limit, InUse: use, Want: l.number(), InForce: l.inForce(l.dir)}
}

// press has v2's kernel reclaim what is above the new limit, by memory.high, which kills
// nobody. It slows down who allocates, so it is taken back in the end.
func (l lowering) press() (release func()) {
	if l.File != string(MemoryMax) {
		return func() {}
	}
	data, err := l.dir.Read(string(MemoryHigh))
	before := strings.TrimSpace(string(data))
	if high, isLimited := limited(MemoryHigh, before); err != nil || isLimited && high <= l.number() {
		return func() {}
	}
	if l.dir.Write(string(MemoryHigh), l.Value) != nil {
		return func() {}
	}
	return func() { _ = l.dir.Write(string(MemoryHigh), before) }
}

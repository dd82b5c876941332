package limits

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Lower goes on where Update stopped because more memory was in use than the new limit
// allows: until the deadline it has the kernel reclaim, and lowers the limit as what is in
// use falls, never below that. What could not be lowered that far keeps its *InUseError.
func Lower(dir *cgroupfs.Dir, outcomes []Outcome, deadline time.Time) {
	for i := range outcomes {
		var inUse *InUseError
		if errors.As(outcomes[i].Err, &inUse) {
			l := lowering{dir: dir, Setting: outcomes[i].Setting}
			l.run(&outcomes[i], deadline)
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

func (l lowering) run(o *Outcome, deadline time.Time) {
	release := l.press()
	defer release()
	for {
		use, err := l.use()
		switch {
		case err != nil:
			o.Err = &SettingError{Limit: l.Limit, Err: err}
			return
		case use <= l.number() || l.File != string(MemoryMax):
			err = l.write(l.dir) // v1's kernel refuses, and kills nobody
		case l.isLower(withRoom(use)):
			err = l.dir.Write(l.File, strconv.FormatUint(withRoom(use), 10))
			o.IsChanged = o.IsChanged || err == nil
			err = errors.Join(err, l.inUse(use))
		default:
			err = l.inUse(use)
		}
		var inUse *InUseError
		if o.Err = err; err == nil {
			o.IsChanged = true
			return
		}
		if isBusy(err) {
			o.Err = l.inUse(use)
		} else if !errors.As(err, &inUse) {
			return
		}
		if !time.Now().Add(look).Before(deadline) {
			return
		}
		time.Sleep(look)
	}
}

func (l lowering) inUse(use uint64) error {
	return &InUseError{Limit: l.Limit, InUse: use, Want: l.number()}
}

// withRoom is what a limit is lowered to for the time being: with room for what processes
// take until the next look.
func withRoom(use uint64) uint64 { return (use + use/8) &^ (pageSize - 1) }

func (l lowering) isLower(bytes uint64) bool {
	data, err := l.dir.Read(l.File)
	now, isLimited := limited(l.Limit.Name, strings.TrimSpace(string(data)))
	return err == nil && (!isLimited || bytes < now) && bytes > l.number()
}

func (l lowering) use() (uint64, error) {
	data, err := l.dir.Read(usage[l.File])
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	use, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &UnexpectedError{File: l.dir.Path() + "/" + usage[l.File], Content: text}
	}
	return use, nil
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

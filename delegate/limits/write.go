package limits

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
)

// Outcome is what became of a setting.
type Outcome struct {
	Setting
	// Before is what the cgroup had; "" if that could not be read.
	Before string
	// IsChanged tells whether another value was written.
	IsChanged bool
	// Err says why it was not: *InUseError, or *SettingError with the kernel's
	// *fs.PathError.
	Err error
}

// IsInUse tells whether a limit was not lowered because more is in use.
func (o Outcome) IsInUse() bool {
	var inUse *InUseError
	return errors.As(o.Err, &inUse)
}

// InUseError says that a limit was not lowered because more is in use: the kernel would
// kill somebody.
type InUseError struct {
	Limit       Limit
	InUse, Want uint64 // bytes
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s stays as it is: %d bytes are in use, the new limit is %d", e.Limit.Name, e.InUse, e.Want)
}

// Write writes the settings into a cgroup that was just made, where nothing is in use.
// Errors are *SettingError.
func Write(dir *cgroupfs.Dir, settings []Setting) (errs []error) {
	for _, s := range inOrder(dir, settings) {
		if err := s.write(dir); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Update writes those settings that differ from what the cgroup has, and lowers no memory
// below what is in use.
func Update(dir *cgroupfs.Dir, settings []Setting) (outcomes []Outcome) {
	for _, s := range inOrder(dir, settings) {
		outcomes = append(outcomes, s.update(dir))
	}
	return outcomes
}

// Compare tells what Update would do.
func Compare(dir *cgroupfs.Dir, settings []Setting) (outcomes []Outcome) {
	for _, s := range settings {
		o, _ := s.compare(dir)
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func (s Setting) write(dir *cgroupfs.Dir) error {
	if err := dir.Write(s.File, s.Value); err != nil {
		return &SettingError{Limit: s.Limit, Err: err}
	}
	return nil
}

// compare reads what the cgroup has. Outcome.IsChanged tells whether that differs.
func (s Setting) compare(dir *cgroupfs.Dir) (o Outcome, err error) {
	o = Outcome{Setting: s}
	data, err := dir.Read(s.File)
	if err != nil {
		o.Err = &SettingError{Limit: s.Limit, Err: err}
		return o, err
	}
	o.Before = s.valueIn(string(data))
	o.IsChanged = !s.isSame(o.Before)
	if use, isLess := s.isBelowUse(dir, o.Before); o.IsChanged && isLess {
		o.Err = &InUseError{Limit: s.Limit, InUse: use, Want: s.number()}
	}
	return o, nil
}

func (s Setting) update(dir *cgroupfs.Dir) Outcome {
	o, err := s.compare(dir)
	if err != nil || o.Err != nil || !o.IsChanged {
		o.IsChanged = false
		return o
	}
	o.Err = s.write(dir)
	o.IsChanged = o.Err == nil
	return o
}

// inOrder has v1's two memory limits in the order in which the kernel takes them: that of
// memory and swap space is never the lower one.
func inOrder(dir *cgroupfs.Dir, settings []Setting) []Setting {
	memory := slices.IndexFunc(settings, func(s Setting) bool { return s.File == memoryLimit })
	both := slices.IndexFunc(settings, func(s Setting) bool { return s.File == memswLimit })
	if memory < 0 || both < 0 {
		return settings
	}
	data, err := dir.Read(memswLimit)
	isRaised := err == nil && settings[both].isUnlimited() || isMore(settings[both].Value, strings.TrimSpace(string(data)))
	if isRaised == (both < memory) {
		return settings
	}
	ordered := slices.Clone(settings)
	ordered[memory], ordered[both] = ordered[both], ordered[memory]
	return ordered
}

func isMore(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x > y
}

func (s Setting) isUnlimited() bool { return s.Value == "max" || s.Value == "-1" }

// number is the value of a setting that has one number.
func (s Setting) number() uint64 {
	n, _ := strconv.ParseUint(s.Value, 10, 64)
	return n
}

// usage are the files that say how much is in use of what would be missed.
var usage = map[string]string{
	"memory.max": "memory.current",
	memoryLimit:  "memory.usage_in_bytes",
	memswLimit:   "memory.memsw.usage_in_bytes",
}

// isBelowUse tells whether the setting lowers memory to less than what is in use. Of
// processes as many may go on as there are: the kernel refuses only new ones (pids.rst).
func (s Setting) isBelowUse(dir *cgroupfs.Dir, before string) (use uint64, isLess bool) {
	file, ok := usage[s.File]
	if !ok || s.isUnlimited() {
		return 0, false
	}
	if former, err := strconv.ParseUint(before, 10, 64); err == nil && former <= s.number() {
		return 0, false
	}
	data, err := dir.Read(file)
	if err != nil {
		return 0, false
	}
	use, err = strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return use, err == nil && use > s.number()
}

// valueIn returns what a file says of what the setting sets: the line of its device, in
// files that have several.
func (s Setting) valueIn(content string) string {
	device, _, isKeyed := strings.Cut(s.Value, " ")
	if !isKeyed || !s.isKeyed() {
		return strings.TrimSpace(content)
	}
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, device+" ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// isKeyed tells whether the file has a line for each device.
func (s Setting) isKeyed() bool { return s.Limit.Name == IOMax || s.Limit.Name == IOWeight }

// isSame tells whether that is what a file has after the setting was written to it.
func (s Setting) isSame(now string) bool {
	switch {
	case s.File == string(IOMax):
		return hasRates(now, s.Value)
	case s.isKeyed():
		return now == s.Value || now == "" && strings.HasSuffix(s.Value, " 0")
	case s.Limit.Name == CPUs:
		want, errWant := cpulist.Parse(s.Value)
		has, errHas := cpulist.Parse(now)
		return errWant == nil && errHas == nil && slices.Equal(want, has)
	case s.isUnlimited():
		_, isLimited := limited(s.Limit.Name, now)
		return !isLimited
	}
	return now == s.Value
}

// hasRates tells whether a line of io.max has the rates: those that it does not name are
// unlimited, and no line is there if all are.
func hasRates(line, want string) bool {
	has := map[string]string{}
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		has[key] = value
	}
	for _, word := range strings.Fields(want)[1:] {
		key, value, _ := strings.Cut(word, "=")
		if now, found := has[key]; found && now != value || !found && value != "max" {
			return false
		}
	}
	return true
}

// Tightened returns the settings, each with the tighter of its own value and those that
// the values hold, by their files: where somebody else has limited the login already.
func Tightened(settings []Setting, values func(file string) []string) []Setting {
	tight := slices.Clone(settings)
	for i, s := range tight {
		for _, value := range values(s.File) {
			if s.isLooser(value) {
				s.Value = value
			}
		}
		tight[i] = s
	}
	return tight
}

// IsHeldBy tells whether a value of the same file limits at least as much. It is false for
// limits that cannot be compared so.
func (s Setting) IsHeldBy(value string) bool { return s.isSame(value) || s.isLooser(value) }

// isLooser tells whether the setting allows more than the value does.
func (s Setting) isLooser(value string) bool {
	if s.Limit.Name == CPUMax && s.File == string(CPUMax) {
		theirs, theirsLimited := cpuShare(value)
		own, ownLimited := cpuShare(s.Value)
		return theirsLimited && (!ownLimited || theirs < own)
	}
	theirs, isLimited := limited(s.Limit.Name, value)
	switch s.Limit.Name {
	case MemoryMax, MemoryHigh, MemorySwapMax, PidsMax:
		return isLimited && (s.isUnlimited() || theirs < s.number())
	}
	return false
}

// cpuShare returns how many CPUs a value of cpu.max gives.
func cpuShare(value string) (cpus float64, isLimited bool) {
	fields := strings.Fields(value)
	if len(fields) != 2 {
		return 0, false
	}
	quota, err := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	return quota / period, errors.Join(err, err2) == nil && period > 0
}

// isBusy tells whether the kernel cannot reclaim so much of v1's memory.
func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) }

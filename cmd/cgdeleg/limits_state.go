package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
)

// sliceStates is where it is remembered what was set of users' slices, one file a user ID.
// It is lost at a reboot, as what was set is.
//
// systemd's own files in /run/systemd/system.control do not tell: `systemctl set-property
// --runtime` of an administrator writes the same, and none has what was before.
const sliceStates = "/run/cgdeleg/limits"

// setProperty is a property that we set.
type setProperty struct {
	Before limits.Property // what it was before we ever did
	Set    limits.Property
}

// sliceState is what we set of a user's slice. Nobody else changes it, or the slice by us,
// until it is closed.
type sliceState struct {
	Properties map[string]setProperty

	file  *os.File // nil: there is none, and nothing will be written
	found []byte
}

func sliceStateFile(dir string, uid int) string { return filepath.Join(dir, strconv.Itoa(uid)) }

// hasSliceState tells whether something may have been set of a user's slice.
func hasSliceState(dir string, uid int) bool {
	info, err := os.Stat(sliceStateFile(dir, uid))
	return err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// openSliceState returns what was set of a user's slice, with a lock. With readOnly it
// makes no file.
func openSliceState(ctx context.Context, dir string, uid int, readOnly bool) (*sliceState, error) {
	s := &sliceState{Properties: map[string]setProperty{}}
	flags := os.O_RDWR | os.O_CREATE
	if readOnly {
		flags = os.O_RDONLY
	} else if err := makeStates(dir); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(sliceStateFile(dir, uid), flags|unix.O_NOFOLLOW, 0o600)
	switch {
	case readOnly && errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, err
	}
	s.file = file
	if err = s.lock(ctx, readOnly); err == nil {
		err = s.read()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

// makeStates makes the directory, and /run/cgdeleg above it as package lock does.
func makeStates(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func (s *sliceState) lock(ctx context.Context, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err := unix.Flock(int(s.file.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: another cgdeleg has it: %w", s.file.Name(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// read reads what was written. What cannot be understood, of another version or from a
// full disk, is as if nothing had been set: then nothing is reset.
func (s *sliceState) read() (err error) {
	if s.found, err = io.ReadAll(s.file); err != nil || len(s.found) == 0 {
		return err
	}
	properties := map[string]setProperty{}
	if json.Unmarshal(s.found, &properties) == nil {
		s.Properties = properties
	}
	return nil
}

// save writes it, before what it tells of is done: what was not done after all is found to
// be otherwise the next time.
func (s *sliceState) save() error {
	var data []byte
	if len(s.Properties) > 0 {
		var err error
		if data, err = json.Marshal(s.Properties); err != nil {
			return err
		}
	}
	if string(data) == string(s.found) {
		return nil
	}
	if _, err := s.file.WriteAt(data, 0); err != nil {
		return err
	}
	s.found = data
	return s.file.Truncate(int64(len(data)))
}

// during notes, and writes, that a property is about to be set for a moment. Forget notes
// that it is over.
func (s *sliceState) during(last, moment limits.Property) (forget func(), err error) {
	ours, is := s.Properties[last.Name]
	before := last
	if is {
		before = ours.Before
	}
	s.Properties[last.Name] = setProperty{Before: before, Set: moment}
	return func() {
		delete(s.Properties, last.Name)
		if is {
			s.Properties[last.Name] = ours
		}
	}, s.save()
}

// reached notes what a property was set to in place of what was wanted.
func (s *sliceState) reached(p limits.Property) {
	if ours, is := s.Properties[p.Name]; is {
		s.Properties[p.Name] = setProperty{Before: ours.Before, Set: p}
	}
}

func (s *sliceState) close() {
	if s.file != nil {
		s.file.Close() // which takes away the lock
	}
}

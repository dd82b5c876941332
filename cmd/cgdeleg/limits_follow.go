package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/inotify"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// follower gives live sessions their limits again when the files change.
type follower struct {
	log   *watchLog
	queue *inotify.Queue
	seen  string // what there was of files when limits were applied last
}

const (
	// editPause is until an editor is done, which writes more than once.
	editPause = time.Second
	// lowerPause is until what was in use is looked at again.
	lowerPause = time.Minute
	// lowerPatience bounds how long is waited for each user's memory.
	lowerPatience = 5 * time.Second
)

// followLimits applies the files of limits when they change, until the context ends.
func followLimits(ctx context.Context, l *watchLog) error {
	q, err := inotify.New()
	if err != nil {
		return err
	}
	f := follower{log: l, queue: q}
	defer q.Close()
	defer context.AfterFunc(ctx, q.Close)()
	if err := f.mark(); err != nil {
		return err
	}
	f.seen = limitsSignature() // logins have what was there
	isLater := false
	for {
		patience := time.Duration(math.MaxInt64)
		if isLater {
			patience = lowerPause
		}
		if err := errors.Join(q.Wait(patience, editPause), f.mark()); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if now := limitsSignature(); isLater || now != f.seen {
			f.seen = now
			isLater = f.apply(ctx)
		}
	}
}

// mark watches the directories of the files, or where they will appear.
func (f follower) mark() error {
	return f.queue.Mark(func(m inotify.Marker) {
		m.Files(limitsconf.Directory)
		if dir := path.Dir(limitsconf.File); !m.Files(dir) {
			m.Files(path.Dir(dir))
		}
	})
}

// limitsSignature is what tells one state of the files from another.
func limitsSignature() (text string) {
	names, _ := (machine.Machine{}).ReadDir(limitsconf.Directory)
	files := []string{limitsconf.File}
	for _, name := range names {
		files = append(files, limitsconf.Directory+"/"+name)
	}
	for _, file := range files {
		var st unix.Stat_t
		err := unix.Stat(file, &st)
		text += fmt.Sprint(file, err, st.Ino, st.Size, st.Mtim, st.Ctim, "\n")
	}
	return text
}

// apply applies the limits to all who have sessions, and tells whether some are left for
// later, because more is in use.
func (f follower) apply(ctx context.Context) (isLater bool) {
	m := machine.Machine{}
	flags := limitsApplyFlags{wait: lowerPatience}
	users, err := delegate.LimitedUsers(m)
	if err != nil {
		complain(f.log.errOut, "limits: %v", err)
		return false
	}
	for _, name := range users {
		isLater = f.tell(applyLimits(ctx, m, name, f.log.errOut, flags)) || isLater
	}
	uids, err := flags.slices(m)
	if err != nil {
		complain(f.log.errOut, "limits: %v", err)
	}
	slices := applyToSlices(m, uids, f.log.errOut, flags.wait, false)
	if err := printSlices(f.log.out, slices); err != nil {
		complain(f.log.errOut, "limits: %v", err)
	}
	for _, s := range slices {
		isLater = isLater || s.isLater()
	}
	return isLater
}

// tell says a line for each limit that was changed, or does not hold.
func (f follower) tell(a appliedUser) (isLater bool) {
	if a.err != nil {
		complain(f.log.errOut, "limits of %s: %v", escape(printable(a.user)), a.err)
	}
	for _, l := range a.all {
		of := "all sessions"
		if l.Session >= 0 {
			of = "session " + strconv.Itoa(l.Session)
		}
		for _, err := range l.Errs {
			name, reason := limitOf(err)
			complain(f.log.errOut, "%s of %s of %s: %s", string(name), of, escape(printable(a.user)), reason)
		}
		for _, o := range quotasTogether(l.Outcomes) {
			isLater = isLater || o.IsInUse()
			if o.IsChanged || o.Err != nil {
				_ = f.say(a.user, of, o)
			}
		}
	}
	return isLater
}

func (f follower) say(user, of string, o limits.Outcome) error {
	out := f.log.out
	if f.log.json {
		out = f.log.errOut
	}
	return printf(out, "%s of %s of %s: %s, was %s: %s\n", string(o.Limit.Name), of, escape(printable(user)),
		nowOf(o, false), humanValue(o.Setting, o.Before), resultOf(o, false))
}

// isLater tells whether a property is left for later, because more is in use.
func (a appliedSlice) isLater() bool {
	for _, c := range a.changes {
		if c.InForce != nil {
			return true
		}
	}
	return false
}

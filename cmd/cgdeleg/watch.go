package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

const (
	// pollPause is between two looks while there are sessions whose end nothing
	// tells of (v1).
	pollPause = 5 * time.Second
	// idlePause is between two looks where inotify tells of everything. It need
	// not be trusted with more than a minute.
	idlePause = time.Minute
)

// untilSignal returns a context that a signal to end the command ends.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
}

// watch removes dead sessions until the context ends.
func watch(ctx context.Context, request delegate.CleanupRequest, l *watchLog) error {
	w, err := delegate.NewWatch(request.Machine)
	if err != nil {
		return err
	}
	defer w.Close()
	defer context.AfterFunc(ctx, w.Close)()
	for {
		mustPoll, err := w.Refresh()
		if err == nil {
			err = l.cleanup(request)
		}
		if errors.As(err, new(*layout.UserNameError)) {
			return err
		}
		pause := idlePause
		if mustPoll || err != nil {
			pause = pollPause
		}
		if ctx.Err() == nil {
			l.complain("", err)
			err = errors.Join(l.broken, w.Wait(pause))
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// watchLog says what happened, and each complaint once.
type watchLog struct {
	out, errOut io.Writer
	json        bool
	said        map[string]string // the last complaint by what it is about
	broken      error             // standard output cannot be written
}

// cleanup removes the dead sessions. The lock, for which logins have to wait, is
// only taken where a look without it showed some. What is wrong with a user's does not keep
// the others': the error is the first.
func (l *watchLog) cleanup(request delegate.CleanupRequest) error {
	look := request
	look.DryRun = true
	looked, first := delegate.Cleanup(look)
	cleaned := map[string]bool{}
	for _, s := range looked {
		if errors.Is(s.Left, unix.EBUSY) || cleaned[s.User] {
			continue
		}
		cleaned[s.User] = true
		request.User = s.User
		results, err := delegate.Cleanup(request)
		for _, r := range results {
			l.tell(r)
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (l *watchLog) tell(s cleanup.Cleaned) {
	about := fmt.Sprintf("session %d of %s", s.Number, printable(s.User))
	switch {
	case isFailure(s.Left):
		l.complain(about, s.Left)
		return
	case s.Left != nil:
		return
	}
	var err error
	if l.json {
		err = printJSONLine(l.out, struct {
			Schema int `json:"schema"`
			jsonCleaned
		}{schemaVersion, cleanedJSON(s)})
	} else {
		err = printf(l.out, "removed %s\n", about)
	}
	l.broken = errors.Join(l.broken, err)
	delete(l.said, about)
}

// complain says what is wrong with something, unless that is what was said of it
// last. No error ends the last complaint.
func (l *watchLog) complain(about string, err error) {
	words := ""
	switch {
	case err != nil && about == "":
		words, _ = explain(err)
	case err != nil:
		words = about + " could not be removed: " + reasonLeft(err)
	}
	if words != "" && words != l.said[about] {
		complain(l.errOut, "%s", words)
	}
	if l.said == nil {
		l.said = map[string]string{}
	}
	l.said[about] = words
}

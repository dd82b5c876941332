package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/terminal"
)

// frames is what is looked at and drawn again and again.
type frames struct {
	pause time.Duration // between two looks
	count int           // of looks; 0: without end
	look  func() error
	// draw returns the text of what was looked at last.
	draw func() (markup, error)
	// key does what a key is for: none, draw again, look at once, or end.
	key func(key byte) then
}

// then is what is done after a key.
type then int

const (
	nothing then = iota
	drawAgain
	lookAgain
	end
)

// run shows the frames on a terminal whose keys are read, or else one below the other,
// until the context ends.
func (f *frames) run(ctx context.Context, out screen, isBatch bool) error {
	file, isFile := out.Writer.(*os.File)
	if isBatch || !isFile || !out.isTerminal || isDumb() {
		return f.below(ctx, out)
	}
	t, err := terminal.Open(os.Stdin, file)
	if err != nil { // the standard input is none
		return f.below(ctx, out)
	}
	last, err := f.on(t)
	t.Close()
	if err == nil && f.count > 0 {
		err = printf(out, "%s", last) // what was on the second screen is gone
	}
	return err
}

// on draws on a terminal, and returns the last frame.
func (f *frames) on(t *terminal.Terminal) (text markup, err error) {
	var next time.Time
	for looks, isDue := 0, true; ; {
		if isDue {
			if err = f.look(); err != nil {
				return text, err
			}
			looks++
			next = time.Now().Add(f.pause)
		}
		if text, err = f.draw(); err != nil {
			return text, err
		}
		if err = t.Draw(string(text)); err != nil {
			return text, err
		}
		if looks == f.count {
			return text, nil
		}
		var isOver bool
		if isDue, isOver = f.wait(t, next); isOver {
			return text, nil
		}
	}
}

// wait waits until something is to be drawn; isDue tells that it is to be looked at first.
func (f *frames) wait(t *terminal.Terminal, next time.Time) (isDue, isOver bool) {
	for {
		switch event, key := t.Wait(next); event {
		case terminal.Timeout:
			return true, false
		case terminal.Redraw:
			return false, false
		case terminal.End:
			return false, true
		case terminal.Key:
			switch f.key(key) {
			case drawAgain:
				return false, false
			case lookAgain:
				return true, false
			case end:
				return false, true
			case nothing:
			}
		}
	}
}

// below writes one frame below the other, with an empty line between them.
func (f *frames) below(ctx context.Context, out io.Writer) error {
	for looks := 1; ; looks++ {
		if err := f.look(); err != nil {
			return err
		}
		text, err := f.draw()
		if err != nil {
			return err
		}
		if looks > 1 {
			text = "\n" + text
		}
		if err := printf(out, "%s", text); err != nil {
			return err
		}
		if looks == f.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(f.pause):
		}
	}
}

// shortestPause keeps the looks themselves from being all that the machine does.
const shortestPause = 100 * time.Millisecond

// errPause is what is wrong with a delay.
var errPause = errors.New("want seconds, or a number with us, ms, s or min, of at least 100ms")

// parsePause understands systemd-cgtop's -d: seconds, or a number with a unit.
func parsePause(given string) (time.Duration, error) {
	text := given
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	if minutes, isMinutes := strings.CutSuffix(text, "min"); isMinutes {
		text = minutes + "m"
	}
	pause, err := time.ParseDuration(text)
	if err != nil || pause < shortestPause {
		return 0, &usageError{fmt.Errorf("TIME %q: %w", given, errPause)}
	}
	return pause, nil
}

package worker

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// replyFD is where the application reads the reply: WORKER_REPLY_FD of worker.h.
const replyFD = 3

// descriptor writes without an os.File, whose finalizer would have the runtime start
// a goroutine for it.
type descriptor int

func (d descriptor) Write(data []byte) (written int, err error) {
	for written < len(data) {
		n, err := unix.Write(int(d), data[written:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return written, os.NewSyscallError("write", err)
		}
		written += max(n, 0)
	}
	return written, nil
}

// EnterPatience bounds how long to wait for what an application says of its entering. It
// holds a user's lock meanwhile, and su's caller may stop su.
const EnterPatience = 50 * time.Millisecond

// EnterLine is said with the files of pam/enter.h.
const EnterLine = "enter\n"

// SendError tells of an error of sending EnterLine whether nothing was sent, so that the
// application can be moved as well: a pipe (ENOTSOCK), a filter, too many files on their
// way. If the application is gone it is err.
func SendError(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return err
	}
	return nil
}

// enter asks the application to enter (pam/enter.h).
func (d descriptor) enter(tasks []int) (entered int, err error) {
	if err := unix.Sendmsg(int(d), []byte(EnterLine), unix.UnixRights(tasks...), nil, unix.MSG_NOSIGNAL); err != nil {
		return 0, SendError(os.NewSyscallError("sendmsg", err))
	}
	deadline := time.Now().Add(EnterPatience)
	for {
		poll := []unix.PollFd{{Fd: int32(d), Events: unix.POLLIN}}
		left := max(time.Until(deadline), 0)
		switch n, err := unix.Poll(poll, int(left.Milliseconds())); {
		case errors.Is(err, unix.EINTR) && left > 0:
		case err != nil:
			return 0, os.NewSyscallError("poll", err)
		case n == 0:
			return 0, os.ErrDeadlineExceeded
		default:
			answer := make([]byte, 24)
			n, err := unix.Read(int(d), answer)
			if err != nil {
				return 0, os.NewSyscallError("read", err)
			}
			return ParseEntered(answer[:n])
		}
	}
}

// ParseEntered parses what an application answers to EnterLine. An error says that it
// answered nothing, or something else.
func ParseEntered(answer []byte) (entered int, err error) {
	line, isWhole := strings.CutSuffix(string(answer), "\n")
	entered, err = strconv.Atoi(line)
	switch {
	case len(answer) == 0:
		return 0, errUnheard
	case !isWhole || err != nil || entered < 0:
		return 0, fmt.Errorf("%q is no number of entered cgroups", answer)
	}
	return entered, nil
}

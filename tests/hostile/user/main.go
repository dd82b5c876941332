// Package main is a user who is against everybody else: attacks on logins, on `cgdeleg` and
// on other users, by what a user owns after a login.
//
//	user -list v1|v2
//	user [-round DURATION] [-until FILE] NAME...
//
// It is to run as that user, in one of two or more sessions; what it does to processes it does
// to those in the others, so that it outlives them. The words `go`, `rest` and `end` on
// standard input, each on a line, have it attack, undo what would hold a login, and end;
// it answers each with `going`, `resting` and `ended`. With -until it attacks until there is
// that file. At the end it says for each operation
// how often it worked, and how often, and why, it did not; and `GAINED` with what must never
// work. Then it fails.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

func main() {
	list := flag.String("list", "", "print the names of the attacks on cgroup `v1` or v2, and end")
	round := flag.Duration("round", 20*time.Millisecond, "how long a round holds what it has caught, and then rests")
	until := flag.String("until", "", "attack until there is that `FILE`, and read nothing")
	sleep := flag.Bool("sleep", false, "do nothing, as somebody to be caught")
	flag.Parse()
	switch {
	case *sleep:
		_, _ = io.Copy(io.Discard, os.Stdin)
	case *list != "":
		for _, a := range attacks {
			if slices.Contains(a.on, *list) {
				fmt.Println(a.name)
			}
		}
	default:
		os.Exit(run(*round, *until, flag.Args()))
	}
}

func run(round time.Duration, until string, names []string) (status int) {
	u, err := newUser(round)
	if err != nil {
		fmt.Fprintln(os.Stderr, "user:", err)
		return 1
	}
	defer u.end()
	var chosen []attack
	for _, name := range names {
		at := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
		if at < 0 {
			fmt.Fprintf(os.Stderr, "user: no attack is called %q\n", name)
			return 1
		}
		chosen = append(chosen, attacks[at])
	}
	if until == "" {
		u.obey(chosen)
	} else {
		for err := os.ErrNotExist; err != nil; _, err = os.Stat(until) {
			u.attack(chosen)
		}
		u.release()
	}
	fmt.Print(u.account())
	if u.hasGained() {
		return 1
	}
	return 0
}

// obey attacks while it is told to.
func (u *user) obey(chosen []attack) {
	words := make(chan string)
	go func() {
		defer close(words)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			words <- lines.Text()
		}
	}()
	for isGoing := false; ; {
		if !isGoing {
			word, more := <-words
			if !more || word == "end" {
				u.release()
				fmt.Println("ended")
				return
			}
			if isGoing = word == "go"; isGoing {
				fmt.Println("going")
			}
			continue
		}
		select {
		case word, more := <-words:
			if isGoing = more && word == "go"; !isGoing {
				u.release()
				fmt.Println("resting")
			}
			if word == "end" {
				fmt.Println("ended")
				return
			}
		default:
			u.attack(chosen)
		}
	}
}

// attack does a round of each.
func (u *user) attack(chosen []attack) {
	for _, a := range chosen {
		u.look()
		a.do(u)
		time.Sleep(u.round)
	}
}

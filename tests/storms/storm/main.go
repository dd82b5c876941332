// Package main is the storms of package storms as a program, for machines that have no Go:
//
//	storm -module PATH [-options WORDS] [-name NAME] -application PAMAPP [-users PREFIX] [-count N] [-scale N]
//
// It prints a table, and fails where a login failed or cgroups stayed.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/cgdeleg/pam_cgdeleg/tests/storms"
)

func main() {
	f := storms.Field{}
	flag.StringVar(&f.Module.Path, "module", "", "the PAM module")
	flag.StringVar(&f.Module.Options, "options", "", "what stands after it in the PAM line")
	flag.StringVar(&f.Module.Name, "name", "module", "what it is called in the table")
	flag.StringVar(&f.Application, "application", "", "pamapp")
	flag.StringVar(&f.ConfDir, "confdir", "/run/storms-pam.d", "where the PAM file is written")
	flag.IntVar(&f.Scale, "scale", 1, "by how much the storms are shorter")
	prefix := flag.String("users", "storm", "the users are called so, with a number from 0 on")
	count := flag.Int("count", 200, "how many users there are")
	flag.Parse()
	for i := range *count {
		f.Users = append(f.Users, fmt.Sprintf("%s%d", *prefix, i))
	}
	if err := run(&f); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func run(f *storms.Field) error {
	if err := f.Prepare(); err != nil {
		return err
	}
	var rows [][]string
	var wrong error
	for _, storm := range storms.Storms {
		c, err := f.Run(storm)
		if err != nil {
			return err
		}
		rows = append(rows, c.Cells(f.Module.Name))
		if c.Failed() > 0 || c.Left > 0 {
			wrong = fmt.Errorf("%s: %d of %d failed, %d cgroups left; first: %s", storm, c.Failed(), c.All, c.Left, c.First)
		}
	}
	fmt.Print(storms.Table(rows))
	return wrong
}

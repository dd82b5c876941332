package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// flagWords says in words of its own what is wrong with an option.
func flagWords(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var lacking *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	var odd *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &invalid):
		return valueWords(cmd, invalid)
	case errors.As(err, &lacking):
		return lackingWords(lacking)
	case errors.As(err, &unknown):
		return unknownOption(cmd, unknown)
	case errors.As(err, &odd):
		return fmt.Errorf("%q is no option", odd.GetSpecifiedFlag())
	}
	return err
}

// valueWords says what is wrong with an option's value.
func valueWords(cmd *cobra.Command, invalid *pflag.InvalidValueError) error {
	flag := invalid.GetFlag()
	switch value := invalid.GetValue(); flag.Value.Type() {
	case "bool":
		return fmt.Errorf("--%s takes no value: %s --%s %s", flag.Name, cmd.CommandPath(), flag.Name, printable(value))
	case "int":
		return fmt.Errorf("--%s %q: want a number", flag.Name, value)
	case "duration":
		return fmt.Errorf("--%s %q: want seconds, or a time such as 500ms, 30s or 5m", flag.Name, value)
	default:
		return fmt.Errorf("--%s %q: %w", flag.Name, value, errors.Unwrap(invalid))
	}
}

// lackingWords says what an option needs that has no value.
func lackingWords(lacking *pflag.ValueRequiredError) error {
	flag := lacking.GetFlag()
	value, _ := pflag.UnquoteUsage(flag)
	if lacking.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("-%s (--%s) needs a value: -%s %s", flag.Shorthand, flag.Name, flag.Shorthand, value)
	}
	return fmt.Errorf("--%s needs a value: --%s %s", flag.Name, flag.Name, value)
}

// unknownOption says what may have been meant by an option that the command has not.
func unknownOption(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	name := unknown.GetSpecifiedName()
	if group := unknown.GetSpecifiedShortnames(); group != "" {
		option := "-" + name
		if group != name {
			option += " in -" + group
		}
		return fmt.Errorf("%s has no option %s%s", cmd.CommandPath(), option, onlyIf(hasOption(cmd, group), " (did you mean --"+group+"?)"))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return fmt.Errorf("%s has no option --%s%s", cmd.CommandPath(), name, didYouMean("--"+name, names))
}

// hasOption tells whether a command has a long option of that name: -color is --color.
func hasOption(cmd *cobra.Command, name string) bool {
	name, _, _ = strings.Cut(name, "=")
	f := cmd.Flags().Lookup(name)
	return f != nil && !f.Hidden && len(name) > 1
}

// excludedWords says what cobra says of options that exclude one another; "" if an error is
// about something else. Such errors have no type.
func excludedWords(err error) string {
	text := err.Error()
	if !strings.HasPrefix(text, "if any flags in the group") {
		return ""
	}
	_, set, _ := strings.Cut(text, "]")
	_, set, _ = strings.Cut(set, "[")
	set, _, _ = strings.Cut(set, "]")
	names := strings.Fields(set)
	for i := range names {
		names[i] = "--" + names[i]
	}
	if len(names) < 2 {
		return ""
	}
	return check.Listed(names) + " exclude one another"
}

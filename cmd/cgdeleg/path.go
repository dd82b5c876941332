package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

func newPath(s *settings) *cobra.Command {
	var o pathOptions
	cmd := &cobra.Command{
		Use:   "path [--leaf] [--controller NAME] [--json]",
		Short: "Print the cgroup below which this shell's containers belong",
		Long: `Print the directory below which the cgroups of containers and of other
commands belong that this shell starts: that of its session, or inside of
cgdeleg run that of the command. On cgroup v2 it is one directory, on v1 one in
each hierarchy that is delegated to you, a line each. It is the nearest cgroup,
from the shell's own up, that you may write.

The exit status is 1 if there is none, or none that has the controller.`,
		Example: `  mkdir "$(cgdeleg path --controller memory)/mine"
  cgdeleg path --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			homes, err := delegate.Homes(s.machine())
			var none *delegate.NoWritableCgroupError
			switch {
			case errors.As(err, &none):
				return &noCgroupError{none: none}
			case err != nil:
				return err
			}
			if homes, err = o.chosen(homes); err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), pathJSON(homes))
			}
			for _, h := range homes {
				if err := printf(cmd.OutOrStdout(), "%s\n", o.directory(h)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.leaf, "leaf", false, "print the cgroup in which the shell itself is; on v2 the session's leaf")
	cmd.Flags().StringVar(&o.controller, "controller", "", "only the one whose cgroups can have the controller `NAME`, such as memory or freezer, or that of the hierarchy name=systemd")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON (docs/json.md)")
	return cmd
}

type pathOptions struct {
	leaf, json bool
	controller string
}

func (o *pathOptions) directory(h delegate.Home) string {
	if o.leaf {
		return h.Leaf
	}
	return h.Dir
}

// chosen returns the one with the controller, if one is asked for. A controller that v2 has
// in every cgroup, such as freezer's cgroup.freeze, is v2's.
func (o *pathOptions) chosen(homes []delegate.Home) ([]delegate.Home, error) {
	if o.controller == "" {
		return homes, nil
	}
	var names []string
	for _, h := range homes {
		if h.Hierarchy == o.controller || slices.Contains(h.Controllers, o.controller) {
			return []delegate.Home{h}, nil
		}
		names = append(names, h.Hierarchy)
		names = append(names, slices.DeleteFunc(slices.Clone(h.Controllers), func(c string) bool { return c == h.Hierarchy })...)
	}
	return nil, &failure{fmt.Sprintf("no cgroup that is delegated to this shell has the controller %q; there are %s; %s",
		o.controller, strings.Join(names, ", "), addController("it"))}
}

// What cgdeleg path --json writes; docs/json.md describes it.
type (
	jsonPaths struct {
		Schema  int        `json:"schema"`
		Session *string    `json:"session"`
		Cgroups []jsonPath `json:"cgroups"`
	}
	jsonPath struct {
		Hierarchy   string   `json:"hierarchy"`
		Version     int      `json:"version"`
		Path        string   `json:"path"`
		Leaf        string   `json:"leaf"`
		Controllers []string `json:"controllers"`
	}
)

func pathJSON(homes []delegate.Home) jsonPaths {
	all := jsonPaths{Schema: schemaVersion, Session: known(sessionOf(homes)), Cgroups: []jsonPath{}}
	for _, h := range homes {
		version := 1
		if h.Hierarchy == hierarchy.Unified {
			version = 2
		}
		all.Cgroups = append(all.Cgroups, jsonPath{Hierarchy: h.Hierarchy, Version: version, Path: h.Dir, Leaf: h.Leaf, Controllers: orEmpty(h.Controllers)})
	}
	return all
}

// sessionOf is the number of the session, or else the name of the scope.
func sessionOf(homes []delegate.Home) (name string, ok bool) {
	for _, h := range homes {
		if _, err := strconv.Atoi(h.Session); err == nil {
			return h.Session, true
		}
		name = cmp.Or(name, h.Session)
	}
	return name, name != ""
}

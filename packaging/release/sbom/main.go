// Command sbom prints a bill of materials, in CycloneDX's JSON, of the programs
// and libraries that its arguments name: which Go modules are linked into them,
// by Go's own build information, and under which licences those are, by the
// texts in the folder of `go mod vendor`.
//
// It must not know the time, the machine or the folder: the same files give the
// same bytes.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "of the project")
	vendor := flag.String("vendor", "vendor", "folder of `go mod vendor`")
	flag.Parse()
	bom, err := describe(*version, *vendor, flag.Args())
	if err == nil {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(bom)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// The parts of CycloneDX 1.5 that are used.
type (
	document struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Licences   []choice   `json:"licenses"`
		PURL       string     `json:"purl,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	choice struct {
		Licence licence `json:"license"`
	}
	licence struct {
		ID string `json:"id"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

const ownLicence = "Apache-2.0"

// describe returns the bill of those files. Files of one name, built for
// several architectures, are one component; it is an error if they are made of
// different modules.
func describe(version, vendor string, files []string) (*document, error) {
	own := component{
		Type: "application", Ref: "pam_cgdeleg", Name: "pam_cgdeleg", Version: version,
		Licences: []choice{{licence{ownLicence}}}, PURL: "pkg:golang/github.com/cgdeleg/pam_cgdeleg@v" + version,
	}
	bom := &document{Format: "CycloneDX", SpecVersion: "1.5", Version: 1, Metadata: metadata{own}}
	built := map[string][]string{} // the file's name to the references of its modules
	modules := map[string]component{}
	for _, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var refs []string
		for _, m := range linked(info) {
			c, err := library(m, vendor)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			modules[c.Ref] = c
			refs = append(refs, c.Ref)
		}
		name := filepath.Base(file)
		if others, ok := built[name]; ok && !slices.Equal(others, refs) {
			return nil, fmt.Errorf("%s is made of %v, another %s of %v", file, refs, name, others)
		}
		built[name] = refs
	}
	var ownRefs []string
	for _, name := range sortedKeys(built) {
		c := own
		c.Ref, c.Name, c.PURL = "pam_cgdeleg/"+name, name, ""
		bom.Components = append(bom.Components, c)
		bom.Dependencies = append(bom.Dependencies, dependency{c.Ref, built[name]})
		ownRefs = append(ownRefs, c.Ref)
	}
	for _, ref := range sortedKeys(modules) {
		bom.Components = append(bom.Components, modules[ref])
		bom.Dependencies = append(bom.Dependencies, dependency{ref, []string{}})
	}
	bom.Dependencies = append(bom.Dependencies, dependency{own.Ref, ownRefs})
	return bom, nil
}

// linked returns the modules in a program, Go's own packages among them.
func linked(info *debug.BuildInfo) []*debug.Module {
	modules := []*debug.Module{{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		modules = append(modules, m)
	}
	return modules
}

func library(m *debug.Module, vendor string) (component, error) {
	id := "BSD-3-Clause" // Go's own
	if m.Path != "std" {
		var err error
		if id, err = licenceIn(filepath.Join(vendor, filepath.FromSlash(m.Path))); err != nil {
			return component{}, err
		}
	}
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, Licences: []choice{{licence{id}}}, PURL: purl}
	if m.Sum != "" {
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c, nil
}

// licenceIn returns the SPDX identifier of the licence in a module's folder. A
// text that it does not know is an error, never a guess.
func licenceIn(dir string) (string, error) {
	var names []string
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("no licence in %s", dir)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		return "", err
	}
	text := strings.Join(strings.Fields(string(data)), " ")
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0", nil
	case has("Permission is hereby granted, free of charge"):
		return "MIT", nil
	case has("Redistribution and use in source and binary forms") && has("Neither the name of"):
		return "BSD-3-Clause", nil
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause", nil
	}
	return "", fmt.Errorf("%s is a licence that sbom does not know: add it", names[0])
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Package main is a Go library as any other: its runtime starts in whoever
// loads it. The module must not look like this.
package main

import "C"

//export plain
func plain() {}

func main() {}

// Package main is cgdeleg, the command-line tool beside pam_cgdeleg.so.
package main

func main() {}

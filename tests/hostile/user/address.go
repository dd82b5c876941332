package main

import "unsafe"

// addressOf is for prctl(2); who calls keeps the bytes.
func addressOf(text []byte) uintptr { return uintptr(unsafe.Pointer(&text[0])) }

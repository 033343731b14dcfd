// Package pagetest drives the status page in a headless Chromium, which must
// be in the path as chromium. It is a module of its own for the sake of what
// that needs, and holds nothing but tests:
//
//	go test ./...
//	go test ./... -shots DIR   # also keep pictures
package pagetest

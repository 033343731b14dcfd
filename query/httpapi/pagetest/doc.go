// Package pagetest drives the status page in a headless Chromium, which must
// be in the path as chromium. It is a separate module because of its dependencies,
// and holds only tests:
//
//	go test ./...
//	go test ./... -shots DIR   # also keep pictures
package pagetest

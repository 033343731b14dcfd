// Package docs has the tests that compare the documents of the repository with the
// code: README, the promises, CONTRIBUTING, and the import directions.
package docs

// Module is the path of the root module.
const Module = "github.com/pipestatus/pipestatus"

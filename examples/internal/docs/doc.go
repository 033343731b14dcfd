// Package docs has the tests that hold the documents of the repository and its layout
// to the code: README, the promises, CONTRIBUTING, and which package imports which.
package docs

// Module is the path of the root module.
const Module = "github.com/pipestatus/pipestatus"

// Package client reads the store of a running program through the HTTP handler
// of package httpapi. A [Client] is a [store.Reader], so package query and all other
// code that reads a store can use it:
//
//	c, err := client.New("http://127.0.0.1:8080", &client.Options{
//		Credentials: httpapi.Credentials{AccessToken: token},
//	})
//	…
//	snapshot, err := query.New(c, nil).Snapshot(ctx, "2", "10")
//
// The program must allow it, see [httpapi.Options.AuthorizeStore]. A file that
// its runner has locked can be read this way while the runner works.
//
// Client and server must speak the same version of the format, see
// [github.com/pipestatus/pipestatus/store/wire]; otherwise every call is refused
// with an error that names both versions and matches [store.ErrIncompatible].
package client

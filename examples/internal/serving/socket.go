package serving

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
)

// socketScheme begins the address of a socket.
const socketScheme = "unix://"

// OnSocket reports whether an address names a socket.
func OnSocket(addr string) bool { return strings.HasPrefix(addr, socketScheme) }

// listen listens on a TCP address or a socket.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	path, ok := strings.CutPrefix(addr, socketScheme)
	if !ok {
		return config.Listen(ctx, "tcp", addr)
	}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil && abandoned(ctx, path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = config.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// abandoned reports whether a socket was left behind by a killed program: it
// accepts no connection.
func abandoned(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close() // a program listens there
	}
	return err != nil && ctx.Err() == nil
}

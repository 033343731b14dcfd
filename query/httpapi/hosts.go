package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// everyHost among [Options.Hosts] stands for all.
const everyHost = "*"

// hosts are the names by which a service may be asked for.
type hosts struct {
	every bool
	names map[string]bool // in lower case
}

// newHosts requires known host names if some are given, or if nothing else keeps
// foreign web pages out.
func newHosts(o *Options) hosts {
	h := hosts{every: len(o.Hosts) == 0 && !letsEverybodyIn(o.Authenticator), names: make(map[string]bool)}
	for _, name := range o.Hosts {
		h.every = h.every || name == everyHost
		h.names[canonicalHost(name)] = true
	}
	return h
}

func letsEverybodyIn(a Authenticator) bool {
	switch a.(type) {
	case NoAuth, *NoAuth:
		return true
	}
	return false
}

// allow reports whether a request is for one of the names. A foreign page whose name
// resolves to this address (DNS rebinding) could read answers, but its name is in the
// Host header. Requests to an IP address are not affected; over loopback, only
// loopback addresses are allowed.
func (h *hosts) allow(r *http.Request) bool {
	if h.every {
		return true
	}
	name := hostName(r.Host)
	if name == "localhost" || h.names[name] {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && (addr.Unmap().IsLoopback() || !overLoopback(r))
}

// hostName is the name in a Host header, "" if that is malformed.
func hostName(header string) string {
	name := header
	if host, _, err := net.SplitHostPort(header); err == nil {
		name = host
	} else if inner, ok := strings.CutPrefix(header, "["); ok {
		if name, ok = strings.CutSuffix(inner, "]"); !ok {
			return ""
		}
	}
	if strings.HasPrefix(header, "[") && !strings.Contains(name, ":") {
		return "" // brackets are for IPv6 addresses
	}
	return canonicalHost(name)
}

func canonicalHost(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// overLoopback reports whether only this machine can have sent a request, as
// far as its server says.
func overLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

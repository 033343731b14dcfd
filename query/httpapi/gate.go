package httpapi

import "time"

// largeNodes is how many nodes make a task a large one.
const largeNodes = 1000

// gate lets in so many at once.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) }

// turn waits, if the answer is a large one, for its turn; done ends it.
func (x *exchange) turn(nodes int) (done func(), err error) {
	if nodes <= largeNodes {
		return func() {}, nil
	}
	leave := func() { <-x.h.large }
	select {
	case x.h.large <- struct{}{}:
		return leave, nil
	default:
	}
	patience := time.NewTimer(x.h.opts.WriteTimeout)
	defer patience.Stop()
	select {
	case x.h.large <- struct{}{}:
		return leave, nil
	case <-patience.C:
		return nil, errBusy
	case <-x.r.Context().Done():
		return nil, x.r.Context().Err()
	}
}

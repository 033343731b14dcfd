package boltstore

import "context"

// turn is a mutex whose waiters can stop waiting.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// Lock waits without a limit.
func (t turn) Lock() { t <- struct{}{} }

// LockUntil waits until the context ends and then returns its error.
func (t turn) LockUntil(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives up the turn. The caller must have it.
func (t turn) Unlock() { <-t }

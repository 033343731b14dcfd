package engine_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// A tree has current attempts only; earlier ones are read from the store.
func TestARepeatAboutAnEarlierAttemptIsFoundInTheHistory(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.record(engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.NewVersion(id(70))), engine.Start("a"))
		f.record(engine.Fail("a", "no", engine.IfVersion(id(70))), engine.Retry("a", engine.NewVersion(id(71))), engine.Start("a"))
		f.record(engine.Finish("a"), engine.Loop("a", engine.NewVersion(id(72))), engine.Finish("a"))
		f.record(engine.Reset("a", engine.NewVersion(id(73))))
		f.record(engine.Fail("root", "gave up"), engine.Reopen("2", "10"), engine.Revoke("root"), engine.Reopen("2", "10"))
		f.pause()
		at := func(n int) []engine.Option {
			return []engine.Option{engine.IfVersion(id(n)), engine.Idempotent()}
		}
		in := func(loop int) []engine.Option {
			return []engine.Option{engine.IfLoop(loop), engine.Idempotent()}
		}
		f.expectUnchanged(func() {
			for _, op := range []engine.Op{
				engine.Start("a", at(70)...), engine.Fail("a", "no", at(70)...), engine.Retry("a", at(70)...), engine.Suspend("a", at(70)...),
				engine.Start("a", at(71)...), engine.Finish("a", at(71)...), engine.Loop("a", at(71)...),
				engine.Finish("a", at(72)...), engine.Reset("a", at(72)...),
				engine.Start("root", in(1)...), engine.Fail("root", "", in(1)...), engine.Reopen("2", "10", in(1)...),
				engine.Revoke("root", in(2)...), engine.Reopen("2", "10", in(2)...),
			} {
				if r := f.record(op)[0]; !r.Repeated {
					f.Errorf("%+v was not recognized as a repeat", op)
				}
			}
			for _, op := range []engine.Op{
				engine.Finish("a", at(70)...), engine.Skip("a", at(70)...), engine.Fail("a", "", at(71)...), engine.Retry("a", at(72)...),
				engine.Start("a", at(74)...), engine.Finish("root", in(1)...), engine.Revoke("root", in(1)...), engine.Fail("root", "", in(2)...),
			} {
				_, err := f.Record(f.ctx, op)
				f.expectRefusal(err, state.ErrVersionMismatch)
			}
		})
	})
}

func TestARepeatIsFoundInALongHistory(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.record(engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.NewVersion(id(1000))), engine.Start("a"), engine.Finish("a"))
		const loops = 600 // more than are read at a time
		var ops []engine.Op
		for i := range loops {
			ops = append(ops, engine.Loop("a", engine.NewVersion(id(1001+i))), engine.Finish("a"))
		}
		f.record(ops...)
		for i := 0; i < loops; i += 37 {
			for _, op := range []engine.Op{
				engine.Loop("a", engine.IfVersion(id(1000+i)), engine.Idempotent()),
				engine.Finish("a", engine.IfVersion(id(1000+i)), engine.Idempotent()),
			} {
				if r := f.record(op)[0]; !r.Repeated {
					f.Errorf("a repeat about attempt %d was not recognized", i+1)
				}
			}
		}
		_, err := f.Record(f.ctx, engine.Finish("a", engine.IfVersion(id(999)), engine.Idempotent()))
		f.expectRefusal(err, state.ErrVersionMismatch)
	})
}

// Attempts that were superseded in the same group are not in the store yet.
func TestARepeatIsFoundAmongUncommittedAttempts(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		pending := []*engine.Pending{
			f.Submit(engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.NewVersion(id(70))), engine.Start("a")),
			f.Submit(engine.Fail("a", "no"), engine.Retry("a", engine.NewVersion(id(71)))),
			f.Submit(engine.Fail("a", "no", engine.IfVersion(id(70)), engine.Idempotent())),
			f.Submit(engine.Start("a"), engine.Start("a", engine.IfVersion(id(70)), engine.Idempotent())),
			f.Submit(engine.Finish("a", engine.IfVersion(id(70)), engine.Idempotent())),
		}
		for i, p := range pending {
			results, err := p.Wait(f.ctx)
			if i == len(pending)-1 {
				f.expectRefusal(err, state.ErrVersionMismatch)
				continue
			}
			if err != nil || (i >= 2) != results[len(results)-1].Repeated {
				f.Errorf("request %d: %+v, %v", i, results, err)
			}
		}
	})
}

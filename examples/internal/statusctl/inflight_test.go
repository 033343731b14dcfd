package statusctl

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/store"
)

// babble is a stream of operations and questions on a few tasks whose IDs
// collide, with explicit versions and times, so that its answers can be predicted.
func babble(seed uint64, lines int) string {
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	node := func() string { return pick("p", "q", "a", "b", "c", "d", "nobody") }
	version := func() string { return fmt.Sprintf("%032d", r.IntN(6)) }
	var ops func(depth int) string
	ops = func(depth int) string {
		common := fmt.Sprintf(`"at":%d`, r.IntN(100))
		if r.IntN(3) == 0 {
			common += `,"idempotent":true`
		}
		switch n := r.IntN(20); {
		case n < 2:
			return fmt.Sprintf(`{"op":"create","biz":"b","task":%q,"id":%q,%s}`, pick("t", "u"), pick("p", "q", "a"), common)
		case n < 7:
			return fmt.Sprintf(`{"op":"declare","node":%q,"parent":%q,"kind":%q,"new_version":%q,"max_loops":%d,%s}`,
				node(), node(), pick("subprocess", "service_activity"), version(), r.IntN(3), common)
		case n < 9 && depth == 0:
			var parts []string
			for range 1 + r.IntN(4) {
				parts = append(parts, ops(1))
			}
			return `{"op":"batch","ops":[` + strings.Join(parts, ",") + `]}`
		case n == 9 && depth == 0:
			return fmt.Sprintf(`{"op":"status","biz":"b","task":%q}`, pick("t", "u", "p", "q", "a"))
		case n == 10 && depth == 0:
			return fmt.Sprintf(`{"op":"history","node":%q}`, node())
		}
		op := pick("start", "start", "start", "finish", "finish", "fail", "fail", "suspend", "resume", "revoke", "retry", "skip", "loop")
		if r.IntN(4) == 0 {
			common += fmt.Sprintf(`,"version":%q`, version())
		}
		switch op {
		case "retry", "skip", "loop":
			common += fmt.Sprintf(`,"new_version":%q`, version())
		case "fail":
			common += pick(``, `,"ignore":true`, `,"retry_at":500`, `,"error":"x"`)
		}
		return fmt.Sprintf(`{"op":%q,"node":%q,%s}`, op, node(), common)
	}
	var b strings.Builder
	for range lines {
		b.WriteString(ops(0) + "\n")
	}
	return b.String()
}

func TestAnswersDoNotDependOnLinesInFlight(t *testing.T) {
	for seed := uint64(280); seed < 320; seed++ { // 313 once told two tasks apart wrongly
		in := babble(seed, 300)
		play := func(t *testing.T, s store.Store, in io.Reader) (answers []string) {
			r := begin(t, s)
			defer r.engine.Close()
			var out bytes.Buffer
			if err := r.apply(t.Context(), in, &out); err != nil {
				t.Fatal(err)
			}
			// Tasks in one commit are numbered one after the other.
			plain := sequences.ReplaceAllString(out.String(), "")
			return strings.Split(errorText.ReplaceAllString(plain, "$1"), "\n")
		}
		var oneByOne, together []string
		synctest.Test(t, func(t *testing.T) {
			stdin, lines := io.Pipe()
			go func() {
				for line := range strings.Lines(in) {
					_, _ = io.WriteString(lines, line)
					synctest.Wait() // for its answer
				}
				lines.Close()
			}()
			oneByOne = play(t, store.NewMemory(), stdin)
		})
		synctest.Test(t, func(t *testing.T) {
			// While a commit takes its time, what follows gathers.
			together = play(t, slow{store.NewMemory()}, strings.NewReader(in))
		})
		asked := strings.Split(in, "\n")
		for i := range oneByOne {
			if oneByOne[i] != together[i] {
				t.Fatalf("seed %d, line %d: %s\n%s", seed, i, asked[i], cmp.Diff(oneByOne[i], together[i]))
			}
		}
	}
}

package picture

import (
	"testing"

	"pgregory.net/rapid"
)

// For random edges, boxes do not overlap, all are within the layout, and every
// forward arrow leads to the right.
func TestBoxesOfAGraphDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := new(layout)
		for i := range rapid.IntRange(1, 30).Draw(t, "boxes") {
			l.cells = append(l.cells, &cell{node: i, w: float64(rapid.IntRange(100, 300).Draw(t, "width")), h: float64(rapid.IntRange(40, 90).Draw(t, "height"))})
			for range rapid.IntRange(0, 3).Draw(t, "arrows") {
				other := rapid.IntRange(0, i).Draw(t, "other")
				if back := rapid.Bool().Draw(t, "back"); back {
					l.arrows = append(l.arrows, arrow{from: i, to: other, back: true})
				} else if other < i {
					l.arrows = append(l.arrows, arrow{from: other, to: i})
				}
			}
		}
		if len(l.arrows) > 0 {
			l.layered()
		} else {
			l.grid()
		}
		for i, a := range l.cells {
			if a.x < -0.01 || a.y < -0.01 || a.x+a.w > l.w+0.01 || a.y+a.h > l.h+0.01 {
				t.Errorf("box %d is outside", i)
			}
			for j, b := range l.cells[:i] {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Errorf("boxes %d and %d overlap", j, i)
				}
			}
		}
		for _, a := range l.arrows {
			if from, to := l.cells[a.from], l.cells[a.to]; !a.back && from.x+from.w > to.x {
				t.Errorf("an arrow leads back from %d to %d", a.from, a.to)
			}
		}
	})
}

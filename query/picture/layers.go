package picture

import (
	"cmp"
	"slices"
)

// grid puts nodes that no arrows join in rows, in the order of creation.
func (l *layout) grid() {
	columns := 1
	for columns < graphColumns && columns*columns < len(l.cells) {
		columns++
	}
	y := 0.0
	for row := range slices.Chunk(l.cells, columns) {
		x, height := 0.0, 0.0
		for _, c := range row {
			c.x, c.y = x, y
			x += c.w + graphAcross
			height = max(height, c.h)
		}
		l.w, l.h = max(l.w, x-graphAcross), y+height
		y = l.h + graphAcross
	}
}

// layered puts every node one layer after the last of its predecessors. Arrows
// lead to nodes that were created later, except for edges that lead back, which do
// not count here. An arrow across layers has a bend in each of them, which takes
// room among their boxes.
func (l *layout) layered() {
	layers, before := l.layers()
	order(layers, before)
	x := 0.0
	for _, layer := range layers {
		width, height := 0.0, -float64(graphAcross)
		for _, c := range layer {
			width, height = max(width, c.w), height+c.h+graphAcross
		}
		y := 0.0
		for _, c := range layer {
			if c.bend {
				c.w = width
			}
			c.x, c.y = x+(width-c.w)/2, y
			y += c.h + graphAcross
		}
		l.w, l.h = x+width, max(l.h, height)
		x += width + graphAlong
	}
	for _, layer := range layers {
		last := layer[len(layer)-1]
		for _, shift := 0, (l.h-last.y-last.h)/2; len(layer) > 0; layer = layer[1:] {
			layer[0].y += shift
		}
	}
	if slices.ContainsFunc(l.arrows, func(a arrow) bool { return a.back }) {
		l.h += graphAcross
	}
}

// layers are the boxes and bends by layer; before are those that lead to each.
func (l *layout) layers() (layers [][]*cell, before map[*cell][]*cell) {
	into := make([][]int, len(l.cells)) // arrows, by the place they lead to
	for i := range l.arrows {
		if a := &l.arrows[i]; !a.back {
			into[a.to] = append(into[a.to], i)
		}
	}
	add := func(c *cell) {
		for len(layers) <= c.layer {
			layers = append(layers, nil)
		}
		layers[c.layer] = append(layers[c.layer], c)
	}
	before = make(map[*cell][]*cell)
	for to, c := range l.cells {
		for _, i := range into[to] {
			c.layer = max(c.layer, l.cells[l.arrows[i].from].layer+1)
		}
		add(c)
	}
	for i := range l.arrows {
		a := &l.arrows[i]
		if a.back {
			continue
		}
		last, to := l.cells[a.from], l.cells[a.to]
		for layer := last.layer + 1; layer < to.layer; layer++ {
			bend := &cell{layer: layer, h: 6, bend: true}
			a.bends = append(a.bends, bend)
			before[bend] = []*cell{last}
			add(bend)
			last = bend
		}
		before[to] = append(before[to], last)
	}
	return layers, before
}

// order sorts each layer by the mean position of the predecessors, so that few
// arrows cross.
func order(layers [][]*cell, before map[*cell][]*cell) {
	place := make(map[*cell]float64)
	for _, layer := range layers {
		middle := make(map[*cell]float64, len(layer))
		for i, c := range layer {
			middle[c] = float64(i)
			if from := before[c]; len(from) > 0 {
				sum := 0.0
				for _, f := range from {
					sum += place[f]
				}
				middle[c] = sum / float64(len(from))
			}
		}
		slices.SortStableFunc(layer, func(a, b *cell) int { return cmp.Compare(middle[a], middle[b]) })
		for i, c := range layer {
			place[c] = (float64(i) + 0.5) / float64(len(layer))
		}
	}
}

package picture

import (
	"strconv"
	"unicode"

	"github.com/pipestatus/pipestatus/state"
)

// What Mermaid draws without being configured: not more than 500 edges and
// 50,000 characters. The margin is for the last node, the note and the styles.
const (
	mermaidNodes = 500
	mermaidBytes = 45_000
	mermaidLabel = 60 // characters of a name or error
)

// mermaidShape is how a kind looks; a rectangle if nobody has said.
func mermaidShape(k state.Kind) (opening, closing string) {
	switch k {
	case state.Subprocess:
		return "[[", "]]"
	case state.StartEvent, state.EndEvent:
		return "([", "])"
	case state.ServiceActivity:
		return "(", ")"
	case state.ExclusiveGateway, state.ParallelGateway, state.ConditionalParallelGateway, state.ConvergeGateway:
		return "{", "}"
	}
	return "[", "]"
}

// AppendMermaid appends a node of a tree, by index, and those below it as a tree
// in Mermaid's language: a box for each, shaped by kind and colored by shown
// state, with name, state, duration and what is out of the ordinary, and a line
// from each container to what is in it. It draws containment, not the order of
// the steps, for which there is [AppendGraph]. Names and errors are cut to 60
// characters and written so that nothing in them is syntax, markup or HTML.
//
// Mermaid refuses what is too large, so of a large tree the nodes created
// first are drawn, and a note says how many more there are.
func AppendMermaid(dst []byte, tree *state.Tree, node int, o *Options) []byte {
	d := newDrawing(tree, node, o)
	begin, drawn, left := len(dst), 0, 0
	var byState [lookCount][]int
	dst = append(dst, "flowchart LR\n"...)
	within(tree, node, func(i int) bool {
		if left > 0 || drawn == mermaidNodes || len(dst)-begin > mermaidBytes {
			left++
			return true
		}
		drawn++
		dst = d.appendBox(dst, i)
		st := min(d.shown(i), lookCount-1)
		byState[st] = append(byState[st], i)
		return true
	})
	if left > 0 {
		dst = append(append(dst, `    more["`...), strconv.Itoa(left)...)
		dst = append(dst, " more nodes\"]\n"...)
	}
	for st, nodes := range byState {
		if len(nodes) == 0 {
			continue
		}
		name, p := "other", lookOf(state.State(st))
		if state.State(st).Valid() {
			name = state.State(st).String()
		}
		dst = append(dst, "    classDef "+name+" fill:"+p.fill+",stroke:"+p.line+",color:"+p.text+"\n    class "...)
		for k, i := range nodes {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = appendBoxID(dst, i)
		}
		dst = append(dst, " "+name+"\n"...)
	}
	return dst
}

func appendBoxID(dst []byte, i int) []byte { return strconv.AppendInt(append(dst, 'n'), int64(i), 10) }

// appendBox appends node i and the line that leads to it.
func (d *drawing) appendBox(dst []byte, i int) []byte {
	n := d.tree.Node(i)
	dst = append(dst, "    "...)
	if i != d.root {
		dst = append(appendBoxID(dst, n.ParentIndex), " --- "...)
	}
	opening, closing := mermaidShape(n.Kind)
	dst = append(appendBoxID(dst, i), opening+`"`...)
	dst = appendInert(dst, cut(Label(n.Kind, n.Name), mermaidLabel))
	dst = append(append(dst, "<br/>"...), d.shown(i).String()...)
	if text := d.took(&n); text != "" {
		dst = append(append(dst, ' '), text...)
	}
	if text := d.remarks(&n); text != "" {
		dst = appendInert(append(dst, "<br/>"...), cut(text, mermaidLabel))
	}
	return append(dst, `"`+closing+"\n"...)
}

// appendInert appends printable text with letters, digits and spaces as they
// are and all else, which might mean something to Mermaid or to what it hands
// the label to, as Mermaid's numeric entities. U+FB02 begins what Mermaid
// turns entities into meanwhile.
func appendInert(dst []byte, text string) []byte {
	for _, r := range text {
		if r == ' ' || r != '\ufb02' && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			dst = append(dst, string(r)...)
		} else {
			dst = append(strconv.AppendInt(append(dst, '#'), int64(r), 10), ';')
		}
	}
	return dst
}

// within iterates over node and those below it, in the order of creation.
func within(tree *state.Tree, node int, yield func(i int) bool) {
	in := make([]bool, tree.Len())
	for i := node; i < tree.Len(); i++ {
		if in[i] = i == node || i > 0 && in[tree.Parent(i)]; in[i] && !yield(i) {
			return
		}
	}
}

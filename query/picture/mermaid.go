package picture

import (
	"strconv"
	"unicode"

	"github.com/pipestatus/pipestatus/state"
)

// Limits of Mermaid's default configuration: 500 edges and 50,000 characters. The
// margin is for the last node, the note and the styles.
const (
	mermaidNodes = 500
	mermaidBytes = 45_000
	mermaidLabel = 60 // columns of a name or error
)

// mermaidShape is the shape of a kind; others are rectangles.
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
// state, with name, state, duration and remarks, and a line from each container to
// its children. It draws containment; [AppendGraph] draws the order of the steps.
// Names and errors are cut to 60 columns and escaped, so that they cannot be
// syntax, markup or HTML.
//
// Mermaid refuses large inputs. Of a large tree, the oldest nodes are drawn, and a
// note says how many more there are.
func AppendMermaid(dst []byte, tree *state.Tree, node int, o *Options) []byte {
	d := newDrawing(tree, node, o)
	begin, drawn, left := len(dst), 0, 0
	var byState [lookCount][]int
	dst = append(dst, "flowchart LR\n"...)
	for i := range tree.Within(node) {
		if left > 0 || drawn == mermaidNodes || len(dst)-begin > mermaidBytes {
			left++
			continue
		}
		drawn++
		dst = d.appendBox(dst, i)
		st := min(d.shown(i), lookCount-1)
		byState[st] = append(byState[st], i)
	}
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
	dst = appendInert(dst, Fit(Label(n.Kind, n.Name), mermaidLabel))
	dst = append(append(dst, "<br/>"...), d.shown(i).String()...)
	if text := d.took(&n); text != "" {
		dst = appendInert(append(dst, ' '), text)
	}
	if text := d.remarks(&n); text != "" {
		dst = appendInert(append(dst, "<br/>"...), Fit(text, mermaidLabel))
	}
	return append(dst, `"`+closing+"\n"...)
}

// appendInert appends printable text. Letters, digits and spaces stay; everything
// else, which might have a meaning for Mermaid or HTML, becomes a numeric entity
// of Mermaid's. U+FB02 is escaped too, since Mermaid uses it internally for
// entities.
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

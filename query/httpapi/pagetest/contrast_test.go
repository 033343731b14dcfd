package pagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// contrasts lists what on the page has less contrast than WCAG 2.1 AA asks for:
// 4.5 for texts, 3 for large ones, for the borders of controls, for what marks
// the selection and for the outlines and bars of graphs. It also lists controls without
// a name.
const contrasts = `(() => {
	const parse = (color) => {
		const [r, g, b, a = 1] = color.match(/rgba?\(([^)]*)\)/)[1].match(/[\d.]+/g).map(Number);
		return { r, g, b, a };
	};
	const over = (top, under) => ({ r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1 });
	const channel = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	const light = ({ r, g, b }) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const ratio = (a, b) => {
		const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
		return (x + 0.05) / (y + 0.05);
	};
	const fillOf = (e) => {
		const style = getComputedStyle(e);
		return e instanceof SVGElement ? (style.fill === "none" ? null : parse(style.fill)) : parse(style.backgroundColor);
	};
	// behind is the color that an element lies on, its own background included.
	const behind = (e) => {
		if (!e) return { r: 255, g: 255, b: 255, a: 1 };
		if (e instanceof SVGElement && e.closest(".gnode")) {
			const box = e.closest(".gnode").querySelector(":scope > rect:not(.stack), :scope > polygon");
			if (box !== e) return over(fillOf(box), behind(e.closest("svg")));
		}
		const own = e instanceof SVGElement ? null : fillOf(e);
		return own && own.a === 1 ? own : own ? over(own, behind(e.parentElement)) : behind(e.parentElement);
	};
	const opacity = (e) => (e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1);
	const faded = (color, e, under) => over({ ...color, a: color.a * opacity(e) }, under);
	const seen = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && e.getBoundingClientRect().width > 0;
	const found = new Set();
	const check = (what, e, color, under, least) => {
		const r = ratio(faded(parse(color), e, under), under);
		if (r < least) found.add(what + " of " + e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + "." + [...e.classList].join(".") + ": " + r.toFixed(2) + ", " + color);
	};
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let texts = 0;
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !seen(e) || e.closest("script, style, :disabled, option, marker")) continue;
		const style = getComputedStyle(e);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
		texts++;
		check("text", e, e instanceof SVGElement ? style.fill : style.color, behind(e), large ? 3 : 4.5);
	}
	for (const e of document.querySelectorAll("[placeholder]:placeholder-shown")) if (seen(e)) check("placeholder", e, getComputedStyle(e, "::placeholder").color, behind(e), 4.5);
	for (const e of document.querySelectorAll("button:enabled, input:enabled, select:enabled")) {
		const style = getComputedStyle(e);
		if (!seen(e) || style.borderTopStyle === "none" || parseFloat(style.borderTopWidth) === 0) continue;
		const filled = ratio(behind(e), behind(e.parentElement)) >= 3;
		if (!filled) check("border", e, style.borderTopColor, behind(e.parentElement), 3);
	}
	for (const e of document.querySelectorAll("button, input, select, [role=tree], [role=tabpanel], dialog")) {
		if (!seen(e) || e.textContent.trim() || e.ariaLabel || e.labels?.length) continue;
		found.add("no name of " + e.tagName.toLowerCase() + "#" + e.id);
	}
	for (const e of document.querySelectorAll(".row.chosen, .count[aria-pressed=true]")) if (seen(e)) for (const under of [e, e.parentElement]) check("selection", e, getComputedStyle(e).boxShadow, behind(under), 3);
	for (const e of document.querySelectorAll("[role=tab][aria-selected=true]")) if (seen(e)) check("selected tab", e, getComputedStyle(e).borderBottomColor, behind(e), 3);
	for (const e of document.querySelectorAll(".bar")) if (seen(e)) check("bar", e, getComputedStyle(e)[e.classList.contains("old") ? "borderTopColor" : "backgroundColor"], behind(e.parentElement), 3);
	for (const e of document.querySelectorAll(".gnode > rect:not(.stack), .gnode > polygon, .arrow")) if (seen(e)) check("line", e, getComputedStyle(e).stroke, behind(e.closest("svg").parentElement), 3);
	return [texts > 4 ? "" : "only " + texts + " texts are seen", ...found].filter(Boolean).join("\n");
})()`

// legible fails if something on the page lacks contrast, in light or in dark.
func (p *tab) legible(view string) {
	p.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
		var problems string
		p.eval(contrasts, &problems)
		if problems != "" {
			p.Errorf("%s, %s:\n  %s", view, scheme, strings.ReplaceAll(problems, "\n", "\n  "))
		}
	}
}

// Every view is legible, in light and in dark, and on a phone.
func TestEverythingHasContrast(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	recordWeeks(s)
	recordReleases(s)
	s.record(engine.Start("switch"), engine.Revoke("switch"), engine.Finish("migrate", engine.Output([]byte("12 tables\n3 indexes"))))
	guarded := newService(t, &httpapi.Options{Authenticator: &httpapi.Applications{}})
	away := newService(t, nil)
	recordDeploy(away)
	for _, view := range []struct {
		name, path, ready string
		service           *service
		stop              bool
	}{
		{name: "list", ready: "document.querySelectorAll('#task-rows tr').length === 4 && $('f-states').textContent.includes('3 FINISHED')", path: "#/?bk_biz_id=3&state=FINISHED&state=RUNNING"},
		{name: "empty list", path: "#/?text=absent", ready: "!$('no-tasks').hidden"},
		{name: "tree", path: deployPath + "&node_id=compile", ready: row("switch traffic") + " && document.querySelectorAll('#d-attempts li').length === 3"},
		{name: "failure", path: deployPath + "&node_id=notify&show=FAILED", ready: "!$('d-error').hidden && document.querySelectorAll('#d-attempts li').length === 1"},
		{name: "output", path: deployPath + "&node_id=migrate", ready: "$('d-data').textContent.includes('3 indexes')"},
		{name: "late", path: "#/task?bk_biz_id=3&task_id=week-4", ready: "!$('next-late').hidden && $('t-usual').textContent.includes('expected')"},
		{name: "graph", path: deployPath + "&tab=graph&node_id=compile", ready: box("compile")},
		{name: "filtered graph", path: deployPath + "&tab=graph&q=smoke", ready: "document.querySelector('.gnode.dim')"},
		{name: "timeline", path: deployPath + "&tab=timeline&node_id=smoke", ready: "document.querySelectorAll('.bar').length > 10"},
		{name: "json", path: deployPath + "&tab=json", ready: "taskView.json.length > 50 && $('rows').textContent.includes('result')"},
		{name: "compare", path: "#/task?bk_biz_id=2&task_id=release-2&tab=compare&with=release-1&node_id=release-2-sign", ready: row("sign")},
		{name: "past", path: deployPath + "&as_of=" + "2999-01-01T00:00:00Z", ready: "$('mark').textContent === 'in the past'"},
		{name: "unknown task", path: "#/task?bk_biz_id=2&task_id=absent", ready: "!$('nothing').hidden"},
		{name: "keys", path: deployPath, ready: row("notify") + " && ($('keys').open || $('keys').showModal(), true)"},
		{name: "sign-in", service: guarded, ready: "!$('sign-in').hidden"},
		{name: "outage", service: away, path: deployPath, ready: row("notify"), stop: true},
	} {
		t.Run(view.name, func(t *testing.T) {
			t.Parallel()
			from := s
			if view.service != nil {
				from = view.service
			}
			p := open(from.within(t), view.path)
			p.until("%s", view.ready)
			if view.stop {
				from.stop()
				p.until("!$('outage').hidden")
			}
			for _, width := range []int64{1280, 390} {
				p.run(chromedp.EmulateViewport(width, 800))
				p.run(chromedp.Sleep(100 * time.Millisecond)) // until it is drawn
				p.legible(fmt.Sprintf("%s at %d", view.name, width))
				p.until("[document.documentElement, document.querySelector('main:not([hidden])')].every(e => e.scrollWidth <= e.clientWidth)")
				p.until("[...document.querySelectorAll('#t-counts, #finding, #tabs')].every(e => e.closest('[hidden]') || e.hidden || e.clientHeight > 20)")
				p.until("[...document.querySelectorAll('.tick')].every(e => !e.textContent || e.closest('[hidden]') || e.getBoundingClientRect().right <= e.parentElement.getBoundingClientRect().right)")
				p.shot(fmt.Sprintf("view-%s-%d", strings.ReplaceAll(view.name, " ", "-"), width))
			}
		})
	}
}

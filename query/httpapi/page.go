package httpapi

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
)

// The page is kept in files and sent as one.
//
//go:embed page/*.html page/*.css page/*.js page/dagre/dagre.js
var pageFiles embed.FS

var statusPage = assemble()

// pageScripts are the parts of the script in the order in which they run.
var pageScripts = []string{
	"dagre/dagre.js", "base.js", "text.js", "time.js", "outage.js", "rows.js", "share.js", "events.js", "tasks.js", "model.js",
	"usual.js", "tree.js", "graph.js", "details.js", "actions.js", "task.js", "compare.js", "graphview.js", "finding.js", "main.js", "keys.js",
}

// document is the complete page.
type document struct {
	plain, gzipped []byte
	tag            string
	policy         string // Content-Security-Policy, but for who may frame it
}

func assemble() document {
	style := pageFile("page.css")
	var script strings.Builder
	script.WriteString("\"use strict\";\n")
	for _, name := range pageScripts {
		script.WriteString(pageFile(name))
	}
	html := strings.NewReplacer("/*style*/", style, "/*script*/", script.String()).Replace(pageFile("page.html"))
	sum := sha256.Sum256([]byte(html))
	return document{
		plain: []byte(html), gzipped: compress([]byte(html)), tag: hex.EncodeToString(sum[:8]),
		// Only scripts and styles with these hashes are used, and everything is
		// loaded from the origin of the page.
		policy: "default-src 'none'; script-src " + hashOf(script.String()) + "; style-src " + hashOf(style) +
			"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; ",
	}
}

// pageFile is one of the files, which were there when this was compiled.
func pageFile(name string) string {
	text, _ := pageFiles.ReadFile("page/" + name)
	return string(text)
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page serves the status page, which holds no data.
func (h *Handler) page(x *exchange) error {
	if misplaced(x.w, x.r) {
		return nil
	}
	header := x.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", h.policy)
	header.Set("Cache-Control", "no-cache")
	header.Add("Vary", "Accept-Encoding")
	body, tag := statusPage.plain, statusPage.tag
	if acceptsGzip(x.r) {
		header.Set("Content-Encoding", "gzip")
		body, tag = statusPage.gzipped, tag+"-gz"
	}
	header.Set("ETag", `"`+tag+`"`)
	if matches(x.r.Header.Values("If-None-Match"), `"`+tag+`"`) {
		x.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	x.send(http.StatusOK, body)
	return nil
}

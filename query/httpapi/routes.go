package httpapi

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// route describes one path.
type route struct {
	post   bool // answers POST
	get    bool // answers GET and HEAD
	serve  func(*Handler, *exchange) error
	public bool // needs no credentials
	// prepare, if not nil, reads what every request has and authorizes it, before
	// anything is looked up.
	prepare func(*Handler, *exchange) error
	// changes says that it changes data, so that foreign web pages may not send
	// it.
	changes bool
	// inPath names the parameters that the gateway's paths hold, in order.
	inPath []string
}

// calls are the documented calls by name.
func (h *Handler) calls() map[string]route {
	task, tasks := []string{"task_id", "bk_biz_id"}, []string{"bk_biz_id"}
	calls := map[string]route{
		"get_task_status":                     {get: true, post: true, inPath: task, prepare: (*Handler).target, serve: (*Handler).taskStatus},
		"get_task_node_detail":                {get: true, post: true, inPath: task, prepare: (*Handler).target, serve: (*Handler).nodeDetail},
		"get_task_node_data":                  {get: true, post: true, inPath: task, prepare: (*Handler).target, serve: (*Handler).nodeValues},
		"get_task_detail":                     {get: true, post: true, inPath: task, prepare: (*Handler).target, serve: (*Handler).taskDetail},
		"get_task_list":                       {get: true, post: true, inPath: tasks, prepare: (*Handler).authorize, serve: (*Handler).taskList},
		"get_tasks_status":                    {post: true, inPath: tasks, prepare: (*Handler).authorize, serve: (*Handler).tasksStatus},
		"get_tasks_manual_intervention_state": {post: true, inPath: tasks, prepare: (*Handler).authorize, serve: (*Handler).interventions},
	}
	if h.opts.Operator != nil {
		calls["operate_task"] = route{post: true, changes: true, inPath: task, serve: (*Handler).operateTask}
		calls["operate_node"] = route{post: true, changes: true, inPath: task, serve: (*Handler).operateNode}
	}
	return calls
}

// views are the data of the status page, by path.
func (h *Handler) views() map[string]route {
	views := map[string]route{
		"/api/tasks":    {get: true, serve: (*Handler).listTasks},
		"/api/task":     {get: true, prepare: (*Handler).target, serve: (*Handler).task},
		"/api/status":   {get: true, prepare: (*Handler).target, serve: (*Handler).status},
		"/api/history":  {get: true, prepare: (*Handler).target, serve: (*Handler).history},
		"/api/timeline": {get: true, prepare: (*Handler).target, serve: (*Handler).timeline},
		"/api/events":   {get: true, prepare: (*Handler).target, serve: (*Handler).events},
		"/api/usual":    {get: true, prepare: (*Handler).target, serve: (*Handler).usual},
		"/api/compare":  {get: true, prepare: (*Handler).target, serve: (*Handler).compare},
		"/api/counts":   {get: true, serve: (*Handler).countTasks},
		"/api/zone":     {get: true, serve: (*Handler).zone},
		"/openapi.json": {get: true, public: true, serve: (*Handler).description},
		"":              {get: true, public: true, serve: (*Handler).page},
	}
	for name, serve := range storeCalls {
		views[storePath+name] = route{get: true, prepare: (*Handler).speaks, serve: serve}
	}
	if h.opts.Operator != nil {
		views["/api/operate"] = route{post: true, changes: true, serve: (*Handler).operate}
	}
	return views
}

// find is the route of a request, and the parameters that its path holds.
func (h *Handler) find(r *http.Request) (route, params, error) {
	found, given, ok := h.match(strings.TrimSuffix(r.URL.EscapedPath(), "/"))
	switch {
	case !ok:
		return route{}, nil, &requestError{http.StatusNotFound, "there is nothing at this path"}
	case found.post && r.Method == http.MethodPost:
	case found.get && (r.Method == http.MethodGet || r.Method == http.MethodHead):
	default:
		return route{}, nil, &methodError{found}
	}
	return found, given, nil
}

func (h *Handler) match(path string) (route, params, bool) {
	if found, ok := h.routes[path]; ok {
		return found, nil, true
	}
	rest, ok := strings.CutPrefix(path, h.opts.GatewayPrefix+"/")
	if !ok {
		return route{}, nil, false
	}
	parts := strings.Split(strings.TrimPrefix(rest, "system/"), "/")
	found, ok := h.gateway[parts[0]]
	if !ok || len(parts) != 1+len(found.inPath) {
		return route{}, nil, false
	}
	given := make(params)
	for i, name := range found.inPath {
		value, err := url.PathUnescape(parts[1+i])
		if err != nil || value == "" {
			return route{}, nil, false
		}
		given[name] = param{values: []string{value}}
	}
	return found, given, true
}

// misplaced redirects a browser to the page's own address if it is mounted without a
// slash at its end: otherwise the page's relative requests would fail.
func misplaced(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "" {
		return false
	}
	address, err := url.ParseRequestURI(r.RequestURI)
	if err != nil || address.Path == "" || strings.HasSuffix(address.Path, "/") {
		return false
	}
	// Relative, since a proxy in front may have changed the path.
	to := url.URL{Path: "./" + path.Base(address.Path) + "/", RawQuery: address.RawQuery}
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusMovedPermanently)
	return true
}

// crossOrigin are the web pages of other origins that may read and ask.
type crossOrigin struct{ origins []string }

// everyOrigin among [Options.Origins] stands for all.
const everyOrigin = "*"

func (c crossOrigin) allows(origin string) bool {
	return origin != "" && (slices.Contains(c.origins, everyOrigin) || slices.Contains(c.origins, origin))
}

// greet sets the headers for a page that may read the answer, and answers the
// question that a browser asks first.
func (c crossOrigin) greet(w http.ResponseWriter, r *http.Request) (done bool) {
	if len(c.origins) == 0 {
		return false
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !c.allows(origin) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", "ETag, Retry-After, "+requestIDHeader)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
	header.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match, Last-Event-ID, "+AuthHeader)
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// intrudes reports whether a web page of another origin sends a request. With
// [NoAuth], such a page could otherwise operate tasks that it cannot read.
func (c crossOrigin) intrudes(r *http.Request) bool {
	return !c.allows(r.Header.Get("Origin")) && new(http.CrossOriginProtection).Check(r) != nil
}

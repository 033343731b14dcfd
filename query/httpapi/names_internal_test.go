package httpapi

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func TestThePageHasALookForEveryState(t *testing.T) {
	base, css := pageFile("base.js"), pageFile("page.css")
	css += ".CREATED { color: .CREATED::before { content: " // as .state has them
	for s := state.Created; s.Valid(); s++ {
		for text, parts := range map[string][]string{
			base: {" " + s.String() + `: "`, `"` + s.String() + `"`},
			css:  {"." + s.String() + " { color: ", "." + s.String() + "::before { content: "},
		} {
			for _, part := range parts {
				if !strings.Contains(text, part) {
					t.Errorf("the page has no %q", part)
				}
			}
		}
	}
}

func TestThePageOffersEveryAction(t *testing.T) {
	_, text, _ := strings.Cut(pageFile("actions.js"), "forTask:")
	forTask, text, _ := strings.Cut(text, "forNode:")
	forNode, text, _ := strings.Cut(text, "labels:")
	labels, _, found := strings.Cut(text, "harmless:")
	if !found {
		t.Fatal("the tables are not in actions.js")
	}
	for table, actions := range map[string]map[string]Action{forTask: taskActions, forNode: nodeActions} {
		for _, action := range actions {
			if !strings.Contains(table, `"`+string(action)+`"`) {
				t.Errorf("no state permits %s in %s", action, table)
			}
			if !strings.Contains(labels, `["`+string(action)+`", "`) {
				t.Errorf("%s has no label", action)
			}
		}
	}
}

func TestTheDescriptionListsEveryAction(t *testing.T) {
	lists := regexp.MustCompile(`"action"[^\[\]]*"enum": (\[[^\]]*\])`).FindAllSubmatch(openAPI, -1)
	if len(lists) != 8 {
		t.Fatalf("%d lists of actions found", len(lists))
	}
	for _, list := range lists {
		var names []string
		if err := json.Unmarshal(list[1], &names); err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		if !slices.Equal(names, slices.Sorted(maps.Keys(taskActions))) && !slices.Equal(names, slices.Sorted(maps.Keys(nodeActions))) {
			t.Errorf("the description lists %q", names)
		}
	}
}

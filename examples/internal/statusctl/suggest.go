package statusctl

import (
	"flag"
	"regexp"
	"slices"
	"strings"
)

// closest is the name that is most similar to a typed word, "" if none is similar.
func closest(word string, names []string) (best string) {
	least := min(len(word), 8)/3 + 2 // with more typing errors, it is another word
	for _, name := range names {
		if strings.HasPrefix(name, word) && len(word) > 1 {
			return name
		}
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with the next
// one to turn one word into another.
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

func commandNames() (names []string) {
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

func flagNames(flags *flag.FlagSet) (names []string) {
	flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	slices.Sort(names)
	return names
}

var undefinedFlag = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)

// withSuggestion is an error of flags, with the flag that was probably meant.
func withSuggestion(problem string, flags *flag.FlagSet) string {
	if m := undefinedFlag.FindStringSubmatch(problem); m != nil {
		problem = "unknown flag -" + m[1]
		if meant := closest(m[1], flagNames(flags)); meant != "" {
			return problem + "; did you mean -" + meant + "?"
		}
	}
	return problem
}

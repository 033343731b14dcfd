package statusctl

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/store"
)

// completionCommand is a function, since it lists the commands, including itself.
func completionCommand() command {
	return command{
		name: "completion", args: "bash|zsh|fish", summary: "print a script that completes commands, flags and IDs in a shell",
		least: 1, most: 1000,
		detail: `
bash: source <(statusctl completion bash)
zsh:  source <(statusctl completion zsh), after compinit
fish: statusctl completion fish | source

Businesses, tasks and nodes are those of -db, if it can be read at that moment.`,
		run: func(ctx context.Context, t *tool, args []string) error {
			text := scripts[args[0]]
			switch {
			case args[0] == "words" && len(args) > 1: // what the scripts call
				text = strings.Join(append(t.complete(ctx, args[1:]), ""), "\n")
			case text == "" || len(args) > 1:
				return &usageError{problem: fmt.Sprintf("knows bash, zsh and fish, not %q", args)}
			}
			_, err := fmt.Fprint(t.stdout, text)
			return err
		},
	}
}

// scripts call "statusctl completion words -- WORD...", where the last word is the one
// to complete.
var scripts = map[string]string{
	// bash also divides words at the characters of COMP_WORDBREAKS, and replaces only
	// what follows the last of them.
	"bash": `_statusctl() {
	local line=${COMP_LINE:0:COMP_POINT} words IFS=$' \t\n'
	read -ra words <<< "$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	local last=${words[${#words[@]} - 1]} IFS=$'\n'
	COMPREPLY=($(statusctl completion words -- "${words[@]:1}" 2>/dev/null))
	COMPREPLY=("${COMPREPLY[@]#"${last%"${last##*[:=]}"}"}")
}
complete -o default -F _statusctl statusctl
`,
	"zsh": `_statusctl() {
	local -a found
	found=(${(f)"$(statusctl completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( $#found )); then compadd -- $found; else _files; fi
}
compdef _statusctl statusctl
`,
	"fish": `complete -c statusctl -a '(statusctl completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
}

// completable are words that mean themselves in every shell.
var completable = regexp.MustCompile(`^[\w.,:@%+=/-]+$`)

// complete returns what the last word of a call can become.
func (t *tool) complete(ctx context.Context, words []string) (found []string) {
	last := words[len(words)-1]
	l := typed{tool: t, flags: flag.NewFlagSet("", flag.ContinueOnError)}
	t.bind(l.flags)
	for _, word := range words[:len(words)-1] {
		l.add(word)
	}
	dashed, before := strings.HasPrefix(last, "-"), ""
	if name, _, given := strings.Cut(last, "="); given && dashed {
		l.open, before = strings.TrimLeft(name, "-"), name+"="
	}
	for _, name := range l.candidates(ctx, dashed) {
		if name = before + name; strings.HasPrefix(name, last) && completable.MatchString(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// typed is the beginning of a call.
type typed struct {
	*tool
	flags   *flag.FlagSet // those that may come next
	command *command      // nil before it is known
	args    []string
	open    string // the flag whose value comes next
}

func (l *typed) add(word string) {
	name, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	switch f := l.flags.Lookup(name); {
	case l.open != "":
		_ = l.flags.Set(l.open, word) // a wrong value is reported when the call is made
		l.open = ""
	case given && strings.HasPrefix(word, "-"):
		_ = l.flags.Set(name, value)
	case strings.HasPrefix(word, "-"):
		if f != nil && !isBool(f) {
			l.open = name
		}
	case l.command == nil && commandNamed(word) != nil:
		l.command = commandNamed(word)
		l.flags = flag.NewFlagSet("", flag.ContinueOnError)
		l.command.declare(l.flags)
		l.bind(l.flags)
	default:
		l.args = append(l.args, word)
	}
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// candidates are the words that may come next.
func (l *typed) candidates(ctx context.Context, dashed bool) (names []string) {
	switch {
	case l.open != "":
		return l.values(ctx, "-"+l.open)
	case dashed:
		for _, name := range flagNames(l.flags) {
			names = append(names, "-"+name)
		}
		return names
	case l.command == nil && len(l.args) == 0:
		return commandNames()
	case l.command == nil:
		return nil
	}
	usage := l.command.args
	if _, other, found := strings.Cut(usage, ", or "); found {
		usage = other
	}
	wanted := strings.Fields(strings.NewReplacer("[", " ", "]", " ").Replace(usage))
	if len(l.args) >= len(wanted) {
		return nil
	}
	return l.values(ctx, wanted[len(l.args)])
}

// values are the values of a flag, or of an argument by its name in the usage.
func (l *typed) values(ctx context.Context, of string) []string {
	switch of {
	case "BIZ", "-biz":
		return l.recorded(ctx, func(k *store.Task) string { return k.Key.Business })
	case "TASK", "TASK|NODE", "OTHER-TASK", "-task":
		return l.recorded(ctx, func(k *store.Task) string { return k.Key.Task })
	case "NODE|KEY", "-node":
		return l.nodes(ctx)
	case "-state":
		return stateNames()
	case "bash|zsh|fish":
		return strings.Split(of, "|")
	}
	return nil
}

// completionTime is how long completion may take.
const completionTime = 3 * time.Second

// recorded are facts of the newest tasks, of the business that is typed.
func (l *typed) recorded(ctx context.Context, of func(*store.Task) string) (names []string) {
	ctx, stop := context.WithTimeout(ctx, completionTime)
	defer stop()
	q := store.ListQuery{Limit: 1000}
	if biz := l.flags.Lookup("biz"); len(l.args) > 0 {
		q.Business = l.args[0]
	} else if biz != nil && l.open != "biz" {
		q.Business = biz.Value.String()
	}
	_ = l.read(ctx, func(r *reader) error { // what cannot be read is not completed
		page, err := r.store.List(ctx, q)
		for i := range page.Tasks {
			names = append(names, of(&page.Tasks[i]))
		}
		return err
	})
	return names
}

// nodes are the keys, or else IDs, of the nodes of the task that is typed.
func (l *typed) nodes(ctx context.Context) (names []string) {
	if len(l.args) < 2 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, completionTime)
	defer stop()
	_ = l.read(ctx, func(r *reader) error {
		snap, err := r.Snapshot(ctx, l.args[0], l.args[1])
		if err != nil {
			return err
		}
		for i := range snap.Tree.Len() {
			n := snap.Tree.Node(i)
			if names = append(names, n.ID); n.Key != "" {
				names[i] = n.Key
			}
		}
		return nil
	})
	return names
}

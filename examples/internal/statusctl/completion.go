package statusctl

import (
	"context"
	"flag"
	"fmt"
	"strings"
)

// completionCommand is a function, since it lists the commands, including itself.
func completionCommand() command {
	return command{
		name: "completion", args: "bash|zsh|fish", summary: "print what completes commands and flags in a shell",
		least: 1, most: 1,
		detail: `
bash: source <(statusctl completion bash)
zsh:  source <(statusctl completion zsh), after compinit
fish: statusctl completion fish | source`,
		run: func(_ context.Context, t *tool, args []string) error {
			script, err := t.completion(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(t.stdout, script)
			return err
		},
	}
}

// completion is a script for a shell.
func (t *tool) completion(shell string) (string, error) {
	global := flag.NewFlagSet("", flag.ContinueOnError)
	t.bind(global)
	var b strings.Builder
	switch shell {
	case "bash", "zsh":
		if shell == "zsh" {
			b.WriteString("autoload -U bashcompinit && bashcompinit\n")
		}
		b.WriteString("_statusctl() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]} words i\n\tCOMPREPLY=()\n" +
			"\twords=" + quoted(append(commandNames(), dashed(global)...)) + "\n" +
			"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n")
		for _, c := range commands() {
			fmt.Fprintf(&b, "\t\t%s) words=%s; break ;;\n", c.name, quoted(append(dashed(flagsOf(&c)), dashed(global)...)))
		}
		b.WriteString("\t\tesac\n\tdone\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -o default -F _statusctl statusctl\n")
	case "fish":
		b.WriteString("complete -c statusctl -n __fish_use_subcommand -f -a " + quoted(commandNames()) + "\n")
		for _, c := range commands() {
			for _, name := range append(flagNames(flagsOf(&c)), flagNames(global)...) {
				fmt.Fprintf(&b, "complete -c statusctl -n '__fish_seen_subcommand_from %s' -o %s\n", c.name, name)
			}
		}
	default:
		return "", &usageError{problem: fmt.Sprintf("knows bash, zsh and fish, not %q", shell)}
	}
	return b.String(), nil
}

func flagsOf(c *command) *flag.FlagSet {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	c.declare(flags)
	return flags
}

func dashed(flags *flag.FlagSet) (names []string) {
	for _, name := range flagNames(flags) {
		names = append(names, "-"+name)
	}
	return names
}

// quoted puts words without special characters into quotes.
func quoted(words []string) string { return "'" + strings.Join(words, " ") + "'" }

package statusctl

import (
	"flag"
	"fmt"
	"strings"
)

func (t *tool) usage(global *flag.FlagSet) error {
	var b strings.Builder
	b.WriteString("statusctl works on a pipestatus database.\n\n")
	b.WriteString("Usage: statusctl [flags] COMMAND [flags] [arguments]\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.summary)
	}
	b.WriteString("\nFlags of every command:\n")
	writeFlags(&b, global)
	if t.servers != nil {
		b.WriteString("\n" + strings.TrimSpace(t.servers.Usage) + "\n")
	}
	b.WriteString("\nA file belongs to one process at a time: while its runner has it open, no command\n" +
		"can open it. Commands that only read also work on a runner that serves HTTP (-http):\n" +
		"-db http://HOST:PORT. Exit code: 0, 1 if something failed, 2 if the call itself is wrong.\n" +
		"Run 'statusctl COMMAND -h' for more about a command.\n")
	_, err := fmt.Fprint(t.stdout, b.String())
	return err
}

func (t *tool) commandUsage(c *command) error {
	// Only the command's own flags; the general usage has the others.
	own := flag.NewFlagSet(c.name, flag.ContinueOnError)
	c.declare(own)
	var b strings.Builder
	fmt.Fprintf(&b, "statusctl %s: %s\n\n", c.name, c.summary)
	b.WriteString(strings.TrimSpace("Usage: statusctl "+c.name+" [flags] "+c.args) + "\n")
	if c.detail != "" {
		b.WriteString("\n" + strings.TrimSpace(c.detail) + "\n")
	}
	b.WriteString("\nFlags, in addition to those of every command ('statusctl -h'):\n")
	if !writeFlags(&b, own) {
		b.WriteString("  none\n")
	}
	_, err := fmt.Fprint(t.stdout, b.String())
	return err
}

// writeFlags writes a line for each flag and reports whether there are any.
func writeFlags(b *strings.Builder, flags *flag.FlagSet) (some bool) {
	flags.VisitAll(func(f *flag.Flag) {
		some = true
		value, usage := flag.UnquoteUsage(f)
		name := strings.TrimSpace("-" + f.Name + " " + value)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(b, "  %-18s %s\n", name, usage)
	})
	return some
}

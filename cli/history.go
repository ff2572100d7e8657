package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
)

func historyCommand() *cobra.Command {
	var r recordSettings
	limit := 20
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List past deploys: when, who, what, how it ended",
		Long: `Lists the deploys that the bucket records, the newest first. With --output json it prints one object a
line. ` + "`flydeploy replay ID`" + ` shows one of them again, ` + "`flydeploy hot --to ID`" + ` deploys its code again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecord(cmd, r.appSettings, func(_ *connection, t *target.Target) error {
				past, err := record.History(cmd.Context(), t.Storage.Records, limit)
				if err != nil {
					return err
				}
				if !r.json() {
					return printHistory(cmd.OutOrStdout(), past)
				}
				for _, p := range past {
					if err := encode(cmd.OutOrStdout(), p); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	r.register(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "how many deploys; 0 shows all")
	return cmd
}

func printHistory(out io.Writer, past []engine.Past) error {
	if len(past) == 0 {
		fmt.Fprintln(out, "no deploy is recorded")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tBEGIN\tOUTCOME\tVERSION\tMACHINES\tSUSPENDED\tTOOK\tWHO\tREVISION\tMESSAGE")
	for _, p := range past {
		outcome := oneLine(string(p.Outcome))
		if p.Running {
			outcome = "running"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.At.Local().Format("2006-01-02 15:04"), outcome,
			cmp.Or(oneLine(p.Version), "-"), p.Upgraded, p.Machines, milliseconds(p.MaxSuspendedUS), took(p), who(p), revision(p.GitRevision),
			oneLine(strings.TrimSpace(p.Message+" "+p.CILink)))
	}
	return w.Flush()
}

func milliseconds(us int64) string {
	if us == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", float64(us)/1000)
}

func took(p engine.Past) string {
	if p.DurationMS == 0 {
		return "-"
	}
	return (time.Duration(p.DurationMS) * time.Millisecond).Round(time.Second).String()
}

func who(p engine.Past) string {
	if p.Host == "" || strings.HasSuffix(p.Owner, "@"+p.Host) {
		return oneLine(p.Owner)
	}
	return oneLine(p.Owner + " on " + p.Host)
}

func revision(git string) string {
	commit, dirty, _ := strings.Cut(git, "-")
	if len(commit) > 10 {
		commit = commit[:10]
	}
	if dirty != "" {
		commit += "-" + dirty
	}
	return cmp.Or(oneLine(commit), "-")
}

// plainText takes out of a text that others wrote what could steer a terminal. Line breaks stay.
func plainText(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n':
			return c
		case unicode.IsControl(c):
			return ' '
		case unicode.In(c, unicode.Cf):
			return -1
		}
		return c
	}, text)
}

// oneLine is plainText without line breaks.
func oneLine(text string) string { return strings.ReplaceAll(plainText(text), "\n", " ") }

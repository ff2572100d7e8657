package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

func historyCommand() *cobra.Command {
	var r recordSettings
	limit := 20
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List past deploys: when, who, what, how it ended",
		Long: `Lists the deploys that the bucket records, newest first. With --output json it prints one object per
line. ` + "`flydeploy replay ID`" + ` shows one of them again; ` + "`flydeploy hot --to ID`" + ` deploys its code again.`,
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
					if err := plain.Encode(cmd.OutOrStdout(), p); err != nil {
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
		_, err := fmt.Fprintln(out, "no deploy is recorded")
		return err
	}
	rows := make([][]string, len(past))
	for i, p := range past {
		outcome := plain.PastWord(p)
		rows[i] = []string{
			p.ID, begun(p), outcome, cmp.Or(plain.Health(p), "-"), cmp.Or(p.Version, "-"), fmt.Sprintf("%d/%d", p.Upgraded, p.Machines),
			milliseconds(p.MaxSuspendedUS), took(p), who(p), cmp.Or(engine.ShortRevision(p.GitRevision), "-"), strings.TrimSpace(p.Message + " " + p.CILink),
		}
	}
	if err := writeTable(out, rows, "ID", "BEGIN", "OUTCOME", "HEALTH", "VERSION", "MACHINES", "SUSPENDED", "TOOK", "WHO", "REVISION", "MESSAGE"); err != nil {
		return err
	}
	if err := printUnhealthy(out, past); err != nil {
		return err
	}
	return printBootLoops(out, past)
}

// begun tells when a deploy of the record has begun.
func begun(p engine.Past) string { return p.At.Local().Format("2006-01-02 15:04") }

// printUnhealthy tells why upgrades were not well.
func printUnhealthy(out io.Writer, past []engine.Past) error {
	for _, p := range past {
		if p.Outcome != engine.OutcomeUnhealthy || p.Why == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "\n%s: %s\n", text.Line(p.ID), text.Line(p.Why)); err != nil {
			return err
		}
	}
	return nil
}

// printBootLoops tells of upgrades that machines do not load any more when they boot.
func printBootLoops(out io.Writer, past []engine.Past) error {
	for _, p := range past {
		if len(p.BootsImage) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(out, "\n%s: two boots in a row with it ended within a minute. These machines boot their image's code instead: %s\n  → %s\n",
			p.ID, some(p.BootsImage), engine.Remedies["boot_loop"]); err != nil {
			return err
		}
	}
	return nil
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
	return p.Took().Round(time.Second).String()
}

func who(p engine.Past) string {
	if p.Host == "" || strings.HasSuffix(p.Owner, "@"+p.Host) {
		return p.Owner
	}
	return p.Owner + " on " + p.Host
}

package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
)

func statusCommand() *cobra.Command {
	var r recordSettings
	var quick bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the machines, what they run, and who deploys",
		Long: `Shows base image, hot upgrade, lock, and for each machine whether its VM has loaded what the record says:

  applied    the upgrade is what the VM runs
  stale      the VM runs other code than the record says: it woke from a suspension, or could not load it at its start
  image      no upgrade is recorded for it: it runs its image
  next boot  it is stopped, and takes the upgrade when it starts
  drift      loaded modules whose files on disk are other code

A hot version is stale where the record is for another image than the machine runs: a cold deploy has won, nothing of it is
applied, and the next hot deploy starts clean. The hook, by which a restarted machine takes the upgrade:

  called     when the VM started
  failed     called, but the upgrade could not be reapplied
  uncalled   the release has the package fly_deploy, but does not call FlyDeploy.startup_reapply_current/1
  missing    the release has no such package
  unknown    its package does not tell

Each VM is asked by one rpc; --quick leaves that out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := r.load(cmd); err != nil {
				return err
			}
			c, err := connect(r.appSettings)
			if err != nil {
				return err
			}
			c.tell = tellOn(cmd)
			look := c.inspected
			if quick {
				look = c.overview
			}
			o, err := look(cmd.Context())
			if err != nil {
				return err
			}
			if r.json() {
				return encode(cmd.OutOrStdout(), o)
			}
			return printStatus(cmd.OutOrStdout(), o)
		},
	}
	r.register(cmd)
	cmd.Flags().BoolVar(&quick, "quick", false, "do not ask the VMs which code they have loaded")
	return cmd
}

func printStatus(out io.Writer, o engine.Overview) error {
	printFleetStatus(out, o)
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MACHINE\tNAME\tREGION\tSTATE\tGROUP\tCHECKS\tIMAGE\tHOT VERSION\tCODE\tHOOK\tDRIFT")
	for _, m := range o.Machines {
		hot := "-"
		if u, ok := o.HotUpgradeOf(m); ok {
			hot = u.Version
		}
		if o.StaleOn(m) {
			hot = "stale"
		}
		if m.Temporary != "" {
			hot = "temporary machine of deploy " + m.Temporary
		}
		code, hook, drift := codeCells(o, m)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\t%s\n", m.ID, oneLine(m.Name), oneLine(m.Region), oneLine(m.State),
			oneLine(m.ProcessGroup), m.ChecksPassed, m.ChecksTotal, oneLine(engine.Tag(m.Image)), oneLine(hot), code, hook, drift)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printRemarks(out, o)
	return nil
}

func printFleetStatus(out io.Writer, o engine.Overview) {
	fmt.Fprintf(out, "app %s\n", o.App)
	switch {
	case o.Storage != nil:
		fmt.Fprintf(out, "storage: %s\n", plainText(o.Storage.Error()))
	case o.Metadata == nil || o.Metadata.HotUpgrade == nil && len(o.Metadata.MachineUpgrades) == 0:
		fmt.Fprintln(out, "hot upgrade: none, the machines run their image")
	case o.StaleRecord():
		fmt.Fprintf(out, "hot upgrade: stale, recorded for the base image %s, which no machine runs\n", oneLine(o.Metadata.ImageRef))
	case o.Metadata.HotUpgrade != nil:
		u := o.Metadata.HotUpgrade
		fmt.Fprintf(out, "base image: %s\nhot upgrade: %s, deployed %s (deploy %s)\n", oneLine(o.Metadata.ImageRef), oneLine(u.Version),
			u.DeployedAt.Format(time.RFC3339), oneLine(u.ID))
	default:
		fmt.Fprintf(out, "base image: %s\nhot upgrade: on %s only\n", oneLine(o.Metadata.ImageRef), engine.Counted(len(o.Metadata.MachineUpgrades), "machine"))
	}
	if o.Lock != nil {
		fmt.Fprintf(out, "deploy lock: held by %s since %s, expires in %s unless it is renewed\n", oneLine(o.Lock.LockedBy),
			o.Lock.LockedAt.Format(time.RFC3339), o.Lock.ExpiresIn().Round(time.Second))
	} else if o.Storage == nil {
		fmt.Fprintln(out, "deploy lock: free")
	}
}

// codeCells tell what a machine's VM has loaded beside what the record says.
func codeCells(o engine.Overview, m engine.Machine) (code, hook, drift string) {
	_, named := o.HotUpgradeOf(m)
	c, asked := o.Code[m.ID]
	switch {
	case m.State == engine.StateStopped && named:
		return "next boot", "-", "-"
	case !asked:
		return "-", "-", "-"
	case c.Problem != nil:
		return "unknown", "-", "-"
	case c.Stale:
		code = "stale"
	case c.Applied:
		code = "applied"
	default:
		code = "image"
	}
	if drift = "-"; c.Drift > 0 {
		drift = engine.Counted(c.Drift, "module")
	}
	return code, string(c.Hook), drift
}

// printRemarks says what to do about what the table shows.
func printRemarks(out io.Writer, o engine.Overview) {
	for _, m := range o.Machines {
		c, asked := o.Code[m.ID]
		switch {
		case !asked:
		case c.Problem != nil:
			fmt.Fprintf(out, "\n%s: %s\n", m.ID, plainText(c.Problem.Error()))
		case c.Stale:
			fmt.Fprintf(out, "\n%s runs other code than the record says.\n  → `flydeploy hot --resume` upgrades it, `fly machine restart %s` boots it afresh.\n", m.ID, m.ID)
		case c.Drift > 0:
			fmt.Fprintf(out, "\n%s has loaded code that is not on its disk: %s.\n  → `fly machine restart %s` boots it afresh.\n", m.ID,
				oneLine(strings.Join(c.Drifted, ", ")), m.ID)
		}
	}
	printHooks(out, o)
	if len(o.Stale) > 0 {
		fmt.Fprintf(out, "\n%s: an upgrade is recorded for another image than they run (%s): a cold deploy has won over it, and nothing of it is applied.\n"+
			"  → Nothing has to be done. The next hot deploy starts clean; `flydeploy withdraw` clears the record now.\n",
			some(o.Stale), oneLine(engine.Tag(o.Metadata.ImageRef)))
	}
}

// printHooks tells each thing that is wrong with startup hooks once, for all machines that share it.
func printHooks(out io.Writer, o engine.Overview) {
	var problems []*engine.Problem
	machines := map[string][]string{}
	for _, m := range o.Machines {
		p := o.Code[m.ID].HookProblem
		if p == nil {
			continue
		}
		if machines[p.What] == nil {
			problems = append(problems, p)
		}
		machines[p.What] = append(machines[p.What], m.ID)
	}
	for _, p := range problems {
		fmt.Fprintf(out, "\nstartup hook of %s: %v\n", some(machines[p.What]), p)
	}
}

// some names a few machines, and counts the rest.
func some(ids []string) string {
	const most = 6
	text := strings.Join(ids[:min(len(ids), most)], ", ")
	if more := len(ids) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/text"
	"flydeploy/tui/plain"
)

func statusCommand() *cobra.Command {
	var r recordSettings
	var quick bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the machines, what they run, and who deploys",
		Long: `Shows the base image, the hot upgrade, how the last deploy has ended, the deploy lock, and the machines. CODE compares what a machine's VM has loaded with
the record:

  applied    the VM runs the recorded upgrade
  incomplete it runs that, and a child does not, or an application has not taken its settings: what follows below the table says which
  stale      the VM runs other code: it lags behind the record, and what it says about that follows below the table
  trial      the VM runs an upgrade on trial: it boots what HOT VERSION says, or its image
  image      no upgrade is recorded for the machine: it runs its image
  next boot  the machine is stopped, and loads the upgrade when it starts
  asleep     the machine is suspended: if it has missed the upgrade, it loads it when it wakes
  unknown    the VM or the storage could not be read

DRIFT counts loaded modules that differ from their files on disk. HOT VERSION is stale if the record is for another image
than the machine's: a cold deploy has replaced it, nothing of it is applied, and the next hot deploy starts clean. HOOK says
whether a restarted machine loads the upgrade again:

  called     the startup hook was called when the VM started
  failed     it was called, but could not reapply the upgrade
  uncalled   the release has the package fly_deploy, but does not call FlyDeploy.startup_reapply_current/1
  missing    the release does not have the package
  unknown    the package does not say

This takes one rpc to each VM; --quick leaves it out.`,
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
			o, err := c.overview(cmd.Context())
			if err != nil {
				return err
			}
			if o.Storage == nil {
				o.Last = c.lastDeploy(cmd.Context())
			}
			if !quick && !r.json() && len(o.Machines) > rowsAtOnce {
				return streamStatus(cmd.OutOrStdout(), &o, func(told func(engine.Machine)) { c.inspect(cmd.Context(), &o, told) })
			}
			if !quick {
				c.inspect(cmd.Context(), &o, nil)
			}
			if r.json() {
				return plain.Encode(cmd.OutOrStdout(), o)
			}
			return printStatus(cmd.OutOrStdout(), o)
		},
	}
	r.register(cmd)
	cmd.Flags().BoolVar(&quick, "quick", false, "do not ask the VMs what code they have loaded")
	return cmd
}

// lookedThrough is how many deploys of the record are looked through for one that has changed something.
const lookedThrough = 5

// lastDeploy gives the last deploy that has changed something; nil for none. What cannot be read is left out: status is about what is there.
func (c *connection) lastDeploy(ctx context.Context) *engine.Past {
	t, _ := c.storage(ctx)
	if t == nil {
		return nil
	}
	past, err := record.History(ctx, t.Storage.Records, lookedThrough)
	i := slices.IndexFunc(past, func(p engine.Past) bool { return !p.IsNothing() })
	if err != nil || i < 0 {
		return nil
	}
	return &past[i]
}

func printStatus(out io.Writer, o engine.Overview) error {
	printFleetStatus(out, o)
	fmt.Fprintln(out)
	rows := make([][]string, len(o.Machines))
	for i, m := range o.Machines {
		rows[i] = statusRow(o, m)
	}
	if err := writeTable(out, rows, statusTitles...); err != nil {
		return err
	}
	printRemarks(out, o)
	return nil
}

var statusTitles = []string{"MACHINE", "NAME", "REGION", "STATE", "GROUP", "CHECKS", "IMAGE", "HOT VERSION", "CODE", "HOOK", "DRIFT"}

func statusRow(o engine.Overview, m engine.Machine) []string {
	code, hook, drift := codeCells(o, m)
	return []string{
		m.ID, m.Name, m.Region, string(m.State), m.ProcessGroup, fmt.Sprintf("%d/%d", m.ChecksPassed, m.ChecksTotal), engine.Tag(m.Image),
		hotVersion(o, m), code, hook, drift,
	}
}

// hotVersion is the upgrade that is recorded for a machine.
func hotVersion(o engine.Overview, m engine.Machine) string {
	u, named := o.HotUpgradeOf(m)
	switch {
	case m.Temporary != "":
		return "temporary machine of deploy " + m.Temporary
	case o.Storage != nil:
		return "unknown"
	case o.RecordIsStaleFor(m):
		return "stale"
	case named:
		return u.Version
	}
	return "-"
}

// deployedFormat tells when an upgrade came, which may be long ago.
const deployedFormat = "2006-01-02 15:04:05 MST"

func printFleetStatus(out io.Writer, o engine.Overview) {
	fmt.Fprintf(out, "app %s\n", text.Line(o.App))
	switch {
	case o.Storage != nil:
		fmt.Fprintf(out, "storage: %s\nhot upgrade and deploy lock: unknown, since the storage could not be read\n", indented(o.Storage.Error()))
	case o.Metadata == nil || !o.Metadata.NamesUpgrades():
		fmt.Fprintln(out, "hot upgrade: none, the machines run their image")
	case o.RecordIsStale():
		fmt.Fprintf(out, "hot upgrade: stale, recorded for the base image %s, which no machine runs\n", text.Line(o.Metadata.ImageRef))
	case o.Metadata.HotUpgrade != nil:
		u := o.Metadata.HotUpgrade
		fmt.Fprintf(out, "base image: %s\nhot upgrade: %s, deployed %s (deploy %s)\n", text.Line(o.Metadata.ImageRef), text.Line(u.Version),
			u.DeployedAt.Local().Format(deployedFormat), text.Line(u.ID))
	default:
		fmt.Fprintf(out, "base image: %s\nhot upgrade: on %s only\n", text.Line(o.Metadata.ImageRef), text.Counted(len(o.Metadata.MachineUpgrades), "machine"))
	}
	if p := o.Last; p != nil {
		fmt.Fprintf(out, "last deploy: %s\n", lastDeploy(*p))
	}
	if o.Trial != nil {
		fmt.Fprintf(out, "trial: %s\n", o.Trial.Describe(o.At))
	}
	if lagging := o.Lagging(); len(lagging) > 0 {
		fmt.Fprintf(out, "lagging behind: %s of %s (%s)\n", text.Count(len(lagging)), text.Counted(len(o.Machines), "machine"), some(lagging))
	}
	if o.Lock != nil && o.Lock.Frozen() {
		fmt.Fprintf(out, "deploy lock: %s\n", text.Line(o.Lock.DescribeFreeze()))
	} else if o.Lock != nil {
		fmt.Fprintf(out, "deploy lock: held by %s since %s, expires in %s unless it is renewed\n", text.Line(o.Lock.LockedBy),
			o.Lock.LockedAt.Local().Format(engine.SinceFormat), text.Seconds(o.Lock.ExpiresIn()))
	} else if o.Storage == nil {
		fmt.Fprintln(out, "deploy lock: free")
	}
}

// lastDeploy says how a deploy has ended, and why if it has not succeeded.
func lastDeploy(p engine.Past) string {
	words := []string{plain.PastWord(p), plain.Health(p), text.Line(p.Version), begun(p)}
	says := strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", ") + " (deploy " + text.Line(p.ID) + ")"
	if p.Why != "" {
		says += ": " + text.Line(p.Why)
	}
	return says
}

// codeCells compare what a machine's VM has loaded with the record.
func codeCells(o engine.Overview, m engine.Machine) (code, hook, drift string) {
	_, named := o.HotUpgradeOf(m)
	c, asked := o.Code[m.ID]
	switch {
	case m.State == engine.StateStopped && named:
		return "next boot", "-", "-"
	case m.State == engine.StateSuspended && named:
		return "asleep", "-", "-"
	case !asked:
		return "-", "-", "-"
	case c.Problem != nil:
		return "unknown", "-", "-"
	case o.Storage != nil:
		code = "unknown"
	case c.OnTrial != "":
		code = "trial"
	case c.Stale:
		code = "stale"
	case c.Applied && len(c.Undone) > 0:
		code = "incomplete"
	case c.Applied:
		code = "applied"
	default:
		code = "image"
	}
	if drift = "-"; c.Drift > 0 {
		drift = text.Counted(c.Drift, "module")
	}
	return code, string(c.Hook), drift
}

// printRemarks says what to do about what the table shows.
func printRemarks(out io.Writer, o engine.Overview) {
	printCautions(out, o)
	for _, m := range o.Machines {
		c, asked := o.Code[m.ID]
		id := text.Line(m.ID)
		switch {
		case !asked:
		case c.Problem != nil:
			fmt.Fprintf(out, "\n%s: %s\n", id, indented(c.Problem.Error()))
		case c.Hook == engine.HookGaveUp: // told with the hooks
		case c.Stale:
			fmt.Fprintf(out, "\n%s runs other code than recorded: %s.\n  → `flydeploy hot --resume` upgrades it, `fly machine restart %s` starts it afresh.\n", id,
				text.Line(c.Behind()), id)
		case c.Drift > 0:
			fmt.Fprintf(out, "\n%s has loaded code that differs from its files on disk: %s.\n  → `fly machine restart %s` starts it afresh.\n", id,
				text.Line(strings.Join(c.Drifted, ", ")), id)
		}
	}
	printProblems(out, o)
	if len(o.Stale) > 0 {
		fmt.Fprintf(out, "\n%s: the recorded upgrade is for another image (%s) than theirs: a cold deploy has replaced it, and nothing of it is applied.\n"+
			"  → There is nothing to do. The next hot deploy starts clean; `flydeploy withdraw` clears the record now.\n",
			some(o.Stale), text.Line(engine.Tag(o.Metadata.ImageRef)))
	}
}

// printCautions tells each caution once, for all machines that share it.
func printCautions(out io.Writer, o engine.Overview) {
	machines := map[string][]string{}
	for _, m := range o.Machines {
		if caution := m.Caution(); caution != "" {
			machines[caution] = append(machines[caution], m.ID)
		}
	}
	for _, caution := range slices.Sorted(maps.Keys(machines)) {
		fmt.Fprintf(out, "\n%s: %s\n", some(machines[caution]), text.Line(caution))
	}
}

// printProblems tells each problem of startup hooks, and what upgrades have left undone, once for all machines that share it.
func printProblems(out io.Writer, o engine.Overview) {
	type problem struct{ about, says string }
	var told []problem
	machines := map[problem][]string{}
	tell := func(m engine.Machine, about string, said *engine.Problem) {
		p := problem{about, indented(said.Error())}
		if machines[p] == nil {
			told = append(told, p)
		}
		machines[p] = append(machines[p], m.ID)
	}
	for _, m := range o.Machines {
		c := o.Code[m.ID]
		if c.HookProblem != nil {
			tell(m, "startup hook of ", c.HookProblem)
		}
		for _, p := range c.Undone {
			tell(m, "", p)
		}
	}
	for _, p := range told {
		fmt.Fprintf(out, "\n%s%s: %s\n", p.about, some(machines[p]), p.says)
	}
}

// some names a few machines, and counts the rest.
func some(ids []string) string {
	const most = 6
	named := text.Line(strings.Join(ids[:min(len(ids), most)], ", "))
	if more := len(ids) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", named, more)
	}
	return named
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/elixir"
	"flydeploy/engine"
)

func statusCommand() *cobra.Command {
	var flags recordFlags
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

Each VM is asked by one rpc; --quick leaves that out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(cmd, flags.deployFlags)
			if err != nil {
				return err
			}
			c, err := connect(s)
			if err != nil {
				return err
			}
			c.tell = tellOnStderr
			look := c.inspected
			if quick {
				look = c.overview
			}
			o, err := look(cmd.Context())
			if err != nil {
				return err
			}
			if flags.output == "json" {
				return json.NewEncoder(os.Stdout).Encode(o)
			}
			return printStatus(os.Stdout, o)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&quick, "quick", false, "do not ask the VMs which code they have loaded")
	return cmd
}

func printStatus(out io.Writer, o engine.Overview) error {
	printFleetStatus(out, o)
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MACHINE\tNAME\tREGION\tSTATE\tGROUP\tCHECKS\tIMAGE\tHOT VERSION\tCODE\tDRIFT")
	for _, m := range o.Machines {
		hot := "-"
		if u, ok := o.HotUpgradeOf(m); ok {
			hot = u.Version
		}
		if m.Temporary != "" {
			hot = "temporary machine of deploy " + m.Temporary
		}
		code, drift := codeCells(o, m)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", m.ID, m.Name, m.Region, m.State, m.ProcessGroup,
			m.ChecksPassed, m.ChecksTotal, engine.Tag(m.Image), oneLine(hot), code, drift)
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
		fmt.Fprintf(out, "storage: %v\n", o.Storage)
	case o.Metadata == nil || o.Metadata.HotUpgrade == nil && len(o.Metadata.MachineUpgrades) == 0:
		fmt.Fprintln(out, "hot upgrade: none, the machines run their image")
	case o.Metadata.HotUpgrade != nil:
		u := o.Metadata.HotUpgrade
		fmt.Fprintf(out, "base image: %s\nhot upgrade: %s, deployed %s (deploy %s)\n", oneLine(o.Metadata.ImageRef), oneLine(u.Version),
			u.DeployedAt.Format(time.RFC3339), oneLine(u.ID))
	default:
		fmt.Fprintf(out, "base image: %s\nhot upgrade: on %d machines only\n", oneLine(o.Metadata.ImageRef), len(o.Metadata.MachineUpgrades))
	}
	if o.Lock != nil {
		fmt.Fprintf(out, "deploy lock: held by %s since %s, expires in %s unless it is renewed\n", oneLine(o.Lock.LockedBy),
			o.Lock.LockedAt.Format(time.RFC3339), o.Lock.ExpiresIn().Round(time.Second))
	} else if o.Storage == nil {
		fmt.Fprintln(out, "deploy lock: free")
	}
}

// codeCells tell what a machine's VM has loaded beside what the record says.
func codeCells(o engine.Overview, m engine.Machine) (code, drift string) {
	_, named := o.HotUpgradeOf(m)
	c, asked := o.Code[m.ID]
	switch {
	case m.State == engine.StateStopped && named:
		return "next boot", "-"
	case !asked:
		return "-", "-"
	case c.Problem != nil:
		return "unknown", "-"
	case c.Stale:
		code = "stale"
	case c.Applied:
		code = "applied"
	default:
		code = "image"
	}
	if drift = "-"; c.Drift > 0 {
		drift = fmt.Sprintf("%d modules", c.Drift)
	}
	return code, drift
}

// printRemarks says what to do about what the table shows.
func printRemarks(out io.Writer, o engine.Overview) {
	for _, m := range o.Machines {
		c, asked := o.Code[m.ID]
		switch {
		case !asked:
		case c.Problem != nil:
			fmt.Fprintf(out, "\n%s: %v\n", m.ID, c.Problem)
		case c.Stale:
			fmt.Fprintf(out, "\n%s runs other code than the record says.\n  → `flydeploy hot --resume` upgrades it, `fly machine restart %s` boots it afresh.\n", m.ID, m.ID)
		case c.Drift > 0:
			fmt.Fprintf(out, "\n%s has loaded code that is not on its disk: %s.\n  → `fly machine restart %s` boots it afresh.\n", m.ID,
				oneLine(strings.Join(c.Drifted, ", ")), m.ID)
		}
		if _, named := o.HotUpgradeOf(m); named && asked && c.Problem == nil && !c.Hook {
			fmt.Fprintf(out, "\n%s has no startup hook: a restart runs its image.\n  → Call FlyDeploy.startup_reapply_current/1 in Application.start/2.\n", m.ID)
		}
	}
}

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "Print the Elixir source that would run inside the machines' VMs",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, name := range append([]string{"bootstrap.exs"}, elixir.Agent...) {
				source, err := elixir.Files.ReadFile(name)
				if err != nil {
					return err
				}
				if _, err := fmt.Printf("# %s\n\n%s\n", name, source); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
